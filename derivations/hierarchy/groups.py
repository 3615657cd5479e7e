"""The susceptibility within a group of trajectories: what a flat mixture gives (all new)."""

# A claim's defaults are its statement, and SymPy expressions are immutable.
# ruff: noqa: B008

import itertools
import math
import random
from fractions import Fraction
from typing import NamedTuple

import sympy as sp

from derivations.hierarchy.mean_field.maps import PAPER
from derivations.hierarchy.measurement import exact_covariance
from derivations.ledger.domains import Drawn
from derivations.ledger.ledger import claim
from derivations.ledger.rules import join
from derivations.ledger.steps import Equal, Positive
from derivations.ledger.theorems import Eq, Given, Le, Theorem

changed_i, changed_j, whole_i, whole_j = sp.symbols("A_i A_j Z_i Z_j", positive=True)
swap_i, swap_j, hidden_i, hidden_j, hidden_both = sp.symbols("q_i q_j h_i h_j h_ij", positive=True)


class FlatMixture(NamedTuple):
    """Components that are product laws, with evidence and a start.

    Attributes:
        weights: of the components.
        laws: ``laws[c][i]`` is the law of site i in component c; its first symbol is the start's.
        likelihood: ``likelihood[i]`` is what is seen of site i.
        hidden: the probability that a mask hides a site.
    """

    weights: tuple[Fraction, ...]
    laws: tuple[tuple[tuple[Fraction, ...], ...], ...]
    likelihood: tuple[tuple[Fraction, ...], ...]
    hidden: Fraction


def _law(generator: random.Random, size: int) -> tuple[Fraction, ...]:
    weights = [generator.choice((1, 1, 3, 20)) for _ in range(size)]
    return tuple(Fraction(weight, sum(weights)) for weight in weights)


def random_flat_mixture(generator: random.Random) -> FlatMixture:
    """One to three components, two or three sites, two or three symbols."""
    components, sites = generator.randint(1, 3), generator.randint(2, 3)
    size = generator.randint(2, 3)
    return FlatMixture(
        weights=_law(generator, components),
        laws=tuple(tuple(_law(generator, size) for _ in range(sites)) for _ in range(components)),
        likelihood=tuple(_law(generator, size) for _ in range(sites)),
        hidden=Fraction(generator.randint(1, 9), 10),
    )


mixture = sp.Symbol("mixture")
largest_covariance, variance_given, leaf_variances = sp.symbols("Cov_c Var_c S_c", real=True)
masked_covariance, mask_covariance = sp.symbols("Cov_masked q_q_Cov_h", real=True)


def _within(law: list[tuple[Fraction, tuple[int, ...]]]) -> tuple[Fraction, Fraction, Fraction]:
    """Largest covariance of two sites, Var N and the sum of the sites' variances, of one law."""
    sites = range(len(law[0][1]))
    pairs = [
        abs(exact_covariance((chance, n[i], n[j]) for chance, n in law))
        for i, j in itertools.combinations(sites, 2)
    ]
    total = exact_covariance((chance, sum(n), sum(n)) for chance, n in law)
    own = sum(exact_covariance((chance, n[i], n[i]) for chance, n in law) for i in sites)
    return max(pairs), total, own


def _normalised(weights: dict) -> list:
    total = sum(weights.values())
    return [(weight / total, key) for key, weight in weights.items()]


def all_sequences(mixture):
    """Covariances given the last component, from all sequences, and from all masks and samples."""
    component = len(mixture.weights) - 1
    sites = range(len(mixture.likelihood))
    sequences = list(itertools.product(range(len(mixture.likelihood[0])), repeat=len(sites)))
    seen = {
        sequence: math.prod(
            mixture.laws[component][i][sequence[i]] * mixture.likelihood[i][sequence[i]]
            for i in sites
        )
        for sequence in sequences
    }
    law = [(chance, tuple(int(x > 0) for x in sequence)) for chance, sequence in _normalised(seen)]
    largest, total, own = _within(law)
    joint: dict[tuple[tuple[int, ...], tuple[int, ...]], Fraction] = {}
    for mask in itertools.product((0, 1), repeat=len(sites)):
        shown = [
            weight * math.prod(laws[i][0] for i in sites if not mask[i])
            for weight, laws in zip(mixture.weights, mixture.laws, strict=True)
        ]
        chance = math.prod(mixture.hidden if h else 1 - mixture.hidden for h in mask)
        for sequence in sequences:
            if any(x and not h for x, h in zip(sequence, mask, strict=True)):
                continue
            drawn = math.prod(mixture.laws[component][i][sequence[i]] for i in sites if mask[i])
            joint[mask, sequence] = chance * shown[component] / sum(shown) * drawn
    masked = _normalised(joint)
    swaps = [1 - mixture.laws[component][i][0] for i in (0, 1)]
    return {
        largest_covariance: largest,
        variance_given: total,
        leaf_variances: own,
        masked_covariance: exact_covariance(
            (chance, int(sequence[0] > 0), int(sequence[1] > 0)) for chance, (_, sequence) in masked
        ),
        mask_covariance: math.prod(swaps)
        * exact_covariance((chance, mask[0], mask[1]) for chance, (mask, _) in masked),
    }


PRODUCTS = Given("each component is a product law: its sites are independent", lambda **_: True)
SITEWISE = Given("the evidence of a site depends on its own symbol", lambda **_: True)
MASKED = Given(
    "masks hide sites independently; the sample is drawn given the mask", lambda **_: True
)


@claim(
    "rhm-within-flat",
    statement=(
        "Take a flat mixture of product laws. Given the evidence and the component, the changes of "
        "two sites have covariance 0. So the variance of N equals the sum of the sites' variances, "
        "and χ within a component is 1. Under random masks and given the component alone, the "
        "covariance is q_i q_j Cov(h_i, h_j): h_i says that site i is hidden, and q_i is the "
        "probability that a hidden site changes."
    ),
    explanation=(
        "The posterior of a component is again a product. Its site i changes with probability "
        "A_i/Z_i. Under masks n_i = h_i b_i. Given the component, the b_i are independent of each "
        "other and of the mask. But the component depends on the mask, which decides what is "
        "shown. So the h_i are not independent given the component."
    ),
    where=f"{PAPER}, Sec. 3.3: the controls without a hierarchy",
    domain="any weights, product laws and evidence of the sites; independent masks of any level",
    origin="new",
    evidence="proved",
    backs=["rhm_theory.experiment.within.within"],
    theorem=Theorem(
        domain={mixture: Drawn("any flat mixture, evidence and mask level", random_flat_mixture)},
        hypotheses=(PRODUCTS, SITEWISE, MASKED),
        conclusions={
            "no covariance": Eq(largest_covariance, 0),
            "no excess": Eq(variance_given, leaf_variances),
            "masks": Eq(masked_covariance, mask_covariance),
        },
        measure=all_sequences,
        exact=True,
        points=16,
    ),
    joins=[
        join(
            "linearity of expectation",
            "no covariance",
            terms=(f"given:{PRODUCTS}", f"given:{SITEWISE}", "E n_i n_j - E n_i E n_j"),
        ),
        join(
            "linearity of expectation",
            "no excess",
            terms=("no covariance", "known:Var N is the sum of all covariances"),
        ),
        join(
            "linearity of expectation",
            "masks",
            terms=(
                f"given:{MASKED}",
                f"given:{PRODUCTS}",
                "E h_i b_i h_j b_j - E h_i b_i E h_j b_j",
            ),
        ),
    ],
    counterexample="a mixture of product laws whose sites are correlated within a component",
)
def within_flat(
    covariance=sp.Integer(0),
    under_masks=swap_i * swap_j * (hidden_both - hidden_i * hidden_j),
):
    together = changed_i * changed_j / (whole_i * whole_j)
    yield Equal(
        "E n_i n_j - E n_i E n_j",
        together - changed_i / whole_i * (changed_j / whole_j),
        covariance,
    )
    yield Equal(
        "E h_i b_i h_j b_j - E h_i b_i E h_j b_j",
        swap_i * swap_j * hidden_both - (swap_i * hidden_i) * (swap_j * hidden_j),
        under_masks,
    )


# A label's components: the chance of each, and the probability that sites i and j change.
chances = sp.symbols("p_1:4", positive=True)
first = sp.symbols("a_1:4", real=True)
second = sp.symbols("b_1:4", real=True)
purity = sp.Symbol("π", positive=True)
gap, surplus = sp.symbols("x y", nonnegative=True)


class Label(NamedTuple):
    """The trajectories of one label: ``components`` of (weight, the change probabilities)."""

    components: tuple[tuple[Fraction, tuple[Fraction, ...]], ...]


def random_label(generator: random.Random) -> Label:
    """One to four components of two to four sites."""
    sites = generator.randint(2, 4)
    number = generator.randint(1, 4)
    return Label(
        tuple(
            (weight, tuple(Fraction(generator.randint(0, 12), 12) for _ in range(sites)))
            for weight in _law(generator, number)
        )
    )


def two_components(generator: random.Random) -> Label:
    """A label with trajectories of two components."""
    label = random_label(generator)
    while len(label.components) != 2:
        label = random_label(generator)
    return label


label, two = sp.symbols("label two")
excess, between_means, bound = sp.symbols("excess between bound", real=True)
excess_of_two, printed_of_two = sp.symbols("excess_2 formula_2", real=True)


def _excess(label: Label) -> Fraction:
    """Var N minus the sum of the sites' variances, from all patterns of changes."""
    sites = len(label.components[0][1])
    law: list[tuple[Fraction, tuple[int, ...]]] = []
    for pattern in itertools.product((0, 1), repeat=sites):
        chance = sum(
            weight
            * math.prod(p if n else 1 - p for p, n in zip(probabilities, pattern, strict=True))
            for weight, probabilities in label.components
        )
        law.append((chance, pattern))
    _, total, own = _within(law)
    return total - own


def all_patterns(label, two):
    """The excess from all patterns, and its parts from the components' means."""
    weights = [weight for weight, _ in label.components]
    means = [sum(probabilities) for _, probabilities in label.components]
    sites = range(len(label.components[0][1]))
    own = sum(
        exact_covariance((weight, p[i], p[i]) for weight, p in label.components) for i in sites
    )
    main = max(range(len(weights)), key=weights.__getitem__)
    largest_gap = max(abs(mean - means[main]) for mean in means)
    (weight, one), (_, other) = two.components
    steps = [a - b for a, b in zip(one, other, strict=True)]
    return {
        excess: _excess(label),
        between_means: exact_covariance(zip(weights, means, means, strict=True)) - own,
        bound: (1 - weights[main]) * largest_gap**2,
        excess_of_two: _excess(two),
        printed_of_two: weight * (1 - weight) * (sum(steps) ** 2 - sum(step**2 for step in steps)),
    }


HONEST = Given("given the component, the label tells nothing about the changes", lambda **_: True)


@claim(
    "rhm-within-label",
    statement=(
        "Let a label hold trajectories of several components of a flat mixture. M is the mean "
        "number of changes of a component, and m_i that of site i. Then the excess "
        "Var N − Σ_i Var n_i within the label is Var M − Σ_i Var m_i over its components. For two "
        "components in the shares π and 1 − π it is π(1−π)((ΔM)² − Σ_i (Δm_i)²). In general the "
        "excess is ≤ (1−π) D²: π is the share of the main component, and D is the largest "
        "distance of another M to its own."
    ),
    explanation=(
        "Within a component the excess is 0, so only the covariances of the means m_i over the "
        "components are left. E(M - M_1)² is Var M plus a square. It is a mean of squares up to D² "
        "over the other components, whose share is 1 - π. The steps are for three components; more "
        "are more terms of the same sums. So χ within a label is at most 1 + (1-π) D²/Σ_i Var n_i."
    ),
    where=f"{PAPER}, Sec. 3.3: the controls without a hierarchy",
    domain="any components of a label; its errors are independent of the changes, given those",
    origin="new",
    evidence="proved",
    backs=["rhm_theory.experiment.within.within"],
    theorem=Theorem(
        domain={
            label: Drawn("any components of a label", random_label),
            two: Drawn("any two components of a label", two_components),
        },
        hypotheses=(PRODUCTS, HONEST),
        conclusions={
            "excess": Eq(excess, between_means),
            "two components": Eq(excess_of_two, printed_of_two),
            "bound": Le(excess, bound),
        },
        measure=all_patterns,
        exact=True,
        points=16,
    ),
    joins=[
        join(
            "conditioning",
            "excess",
            parts=(f"given:{PRODUCTS}", f"given:{HONEST}", "Cov(n_i, n_j) = Cov(m_i, m_j)"),
        ),
        join("conditioning", "two components", parts=("excess", "of two components")),
        join(
            "sign",
            "bound",
            sign=(
                "excess",
                "known:a variance is >= 0",
                "E(M - M_1)² - Var M",
                "(1-π) D² - E(M - M_1)²",
                "which is >= 0",
            ),
        ),
    ],
    counterexample="a label of a flat mixture whose excess is not that of its components' means",
)
def within_label(
    covariance=sum(p * a * b for p, a, b in zip(chances, first, second, strict=True))
    - sum(p * a for p, a in zip(chances, first, strict=True))
    * sum(p * b for p, b in zip(chances, second, strict=True)),
    of_two=purity * (1 - purity) * (first[0] - first[1]) * (second[0] - second[1]),
    reach=(chances[1] + chances[2]) * (gap + surplus),
):
    rest = {chances[0]: 1 - chances[1] - chances[2]}
    mean_a, mean_b = (
        sum(p * value for p, value in zip(chances, values, strict=True))
        for values in (first, second)
    )
    together = sum(p * a * b for p, a, b in zip(chances, first, second, strict=True))
    yield Equal("Cov(n_i, n_j) = Cov(m_i, m_j)", together - mean_a * mean_b, covariance)
    yield Equal(
        "of two components",
        covariance.subs({chances[0]: purity, chances[1]: 1 - purity, chances[2]: 0}),
        of_two,
    )
    spread = sum(p * a**2 for p, a in zip(chances, first, strict=True)) - mean_a**2
    about = sum(p * (a - first[0]) ** 2 for p, a in zip(chances[1:], first[1:], strict=True))
    yield Equal(
        "E(M - M_1)² - Var M", (about - spread).subs(rest), ((mean_a - first[0]) ** 2).subs(rest)
    )
    # (M_2 - M_1)² = x and (M_3 - M_1)² = x + y = D²; the other order is the same.
    squares = chances[1] * gap + chances[2] * (gap + surplus)
    yield Equal("(1-π) D² - E(M - M_1)²", reach - squares, chances[1] * surplus)
    yield Positive("which is >= 0", chances[1] * surplus, strict=False)


spread_u, spread_w, mean_u, mean_w = sp.symbols("V_u V_w N_u N_w", positive=True)


class TwoNodes(NamedTuple):
    """Two nodes of a level, and the laws of N below each of their symbols.

    Attributes:
        joint: ``joint[a][b]`` is the probability of symbol a at the first node, b at the second.
        below: ``below[u][a]`` is a list of (chance, N_u) given symbol a at node u.
    """

    joint: tuple[tuple[Fraction, ...], ...]
    below: tuple[tuple[tuple[tuple[Fraction, int], ...], ...], ...]


def random_nodes(generator: random.Random) -> TwoNodes:
    """One to three symbols, with any joint law, and one to three values of N given each."""
    size = generator.randint(1, 3)
    joint = _law(generator, size**2)

    def law() -> tuple[tuple[Fraction, int], ...]:
        chances_of_n = _law(generator, generator.randint(1, 3))
        return tuple((chance, generator.randint(0, 9)) for chance in chances_of_n)

    return TwoNodes(
        joint=tuple(joint[row * size : (row + 1) * size] for row in range(size)),
        below=tuple(tuple(law() for _ in range(size)) for _ in range(2)),
    )


nodes = sp.Symbol("nodes")
given_level, by_nodes = sp.symbols("E_Var_level sum_P_V", real=True)


def all_symbols(nodes):
    """E[Var(N | both symbols)] from all values of N, and the sum over nodes and symbols."""
    size = len(nodes.joint)
    whole = Fraction(0)
    for a, b in itertools.product(range(size), repeat=2):
        law = [(p * q, x + y, x + y) for p, x in nodes.below[0][a] for q, y in nodes.below[1][b]]
        whole += nodes.joint[a][b] * exact_covariance(law)
    marginals = [
        [sum(row) for row in nodes.joint],
        [sum(column) for column in zip(*nodes.joint, strict=True)],
    ]
    parts = sum(
        marginals[u][a] * exact_covariance((p, x, x) for p, x in nodes.below[u][a])
        for u in range(2)
        for a in range(size)
    )
    return {given_level: whole, by_nodes: parts}


SUBTREES = Given(
    "given its symbol, what is below a node is independent of the rest", lambda **_: True
)


@claim(
    "rhm-within-levels",
    statement=(
        "Fix the symbols of all nodes u of one level of the tree. Then "
        "E[Var(N | symbols)] = Σ_u Σ_a P_u(a) V_u(a). P_u(a) is the posterior of symbol a at node "
        "u, and V_u(a) is the variance of the changes below u given a."
    ),
    explanation=(
        "Given the symbols, N is a sum of independent numbers, one a node. Their variances add, "
        "and each depends on one symbol. So the mean over the joint law needs the marginals alone. "
        "The steps are for two nodes; more are more terms of the same sums."
    ),
    where=f"{PAPER}, Sec. 2: the susceptibility, given one level of the tree",
    domain="any law of the nodes' symbols, any laws below them",
    origin="new",
    evidence="proved",
    backs=["rhm_theory.inference.conditional.conditional_moments"],
    theorem=Theorem(
        domain={nodes: Drawn("any two nodes", random_nodes)},
        hypotheses=(SUBTREES,),
        conclusions={"given a level": Eq(given_level, by_nodes)},
        measure=all_symbols,
        exact=True,
        points=16,
    ),
    joins=[
        join(
            "linearity of expectation",
            "given a level",
            terms=(f"given:{SUBTREES}", "E (N_u + N_w)² - (E (N_u + N_w))²"),
        )
    ],
    counterexample="a law of symbols for which the variances given them do not add up",
)
def within_levels(variance=spread_u + spread_w):
    squares = spread_u + mean_u**2 + spread_w + mean_w**2 + 2 * mean_u * mean_w
    yield Equal("E (N_u + N_w)² - (E (N_u + N_w))²", squares - (mean_u + mean_w) ** 2, variance)
