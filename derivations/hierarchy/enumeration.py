"""Small hierarchies in full: all trees of a grammar, and belief propagation, in exact numbers.

Nothing here uses the library, and nothing is vectorised, scaled or rounded. A level is a list of
nodes from left to right. Levels are listed with the leaves first.
"""

import functools
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import NamedTuple

Beliefs = Sequence[Sequence[Fraction]]  # node, symbol


class Grammar(NamedTuple):
    """``tables[level][symbol][rule]`` is the tuple of children. Level 0 is above the leaves."""

    tables: tuple[tuple[tuple[tuple[int, ...], ...], ...], ...]

    @property
    def vocabulary(self) -> int:
        return len(self.tables[0])

    @property
    def branching(self) -> int:
        return len(self.tables[0][0][0])

    @property
    def length(self) -> int:
        return self.branching ** len(self.tables)


class Tree(NamedTuple):
    """The symbols of every level, leaves first; all trees of a grammar are equally likely."""

    levels: tuple[tuple[int, ...], ...]

    @property
    def leaves(self) -> tuple[int, ...]:
        return self.levels[0]


@functools.cache
def affine(
    vocabulary: int, rules: int, branching: int, depth: int, multiplier: int, offset: int
) -> Grammar:
    """Tuple (a m + k) g + oℓ mod v^s, written in base v, for symbol a and rule k at level ℓ."""

    def digits(number: int) -> tuple[int, ...]:
        return tuple(
            number // vocabulary**place % vocabulary for place in reversed(range(branching))
        )

    return Grammar(
        tuple(
            tuple(
                tuple(digits((a * rules + k) * multiplier + offset * level) for k in range(rules))
                for a in range(vocabulary)
            )
            for level in range(1, depth + 1)
        )
    )


SMALL = (affine(3, 2, 2, 2, 2, 1), affine(2, 2, 3, 1, 3, 1), affine(2, 1, 2, 3, 3, 1))


@functools.cache
def trees(grammar: Grammar) -> tuple[Tree, ...]:
    """All of them."""
    return tuple(
        Tree(levels)
        for root in range(grammar.vocabulary)
        for levels in _below(grammar.tables, ((root,),))
    )


def _below(tables, levels) -> Iterator[tuple]:
    if not tables:
        yield levels
        return
    *lower, table = tables
    for chosen in itertools.product(*(table[symbol] for symbol in levels[0])):
        yield from _below(lower, (sum(chosen, ()), *levels))


def generic_likelihood(grammar: Grammar) -> Beliefs:
    """A likelihood without symmetries and with zeros, which some tree survives."""
    survivor = trees(grammar)[0].leaves
    pattern = [
        [(5 * leaf + 3 * symbol + leaf * symbol) % 7 for symbol in range(grammar.vocabulary)]
        for leaf in range(grammar.length)
    ]
    return [
        [Fraction(number + (symbol == kept), 7) for symbol, number in enumerate(row)]
        for row, kept in zip(pattern, survivor, strict=True)
    ]


def tree_weights(grammar: Grammar, likelihood: Beliefs) -> list[Fraction]:
    """Probability times likelihood of every tree. The sum is the evidence."""
    everything = trees(grammar)
    return [
        Fraction(1, len(everything))
        * math.prod(row[symbol] for row, symbol in zip(likelihood, tree.leaves, strict=True))
        for tree in everything
    ]


def upward(grammar: Grammar, likelihood: Beliefs) -> list[Beliefs]:
    """Messages of all levels: mu_u(a) = (1/m) sum_k prod_i mu_i(R[a, k, i])."""
    levels = [likelihood]
    for table in grammar.tables:
        groups = [
            levels[-1][start : start + grammar.branching]
            for start in range(0, len(levels[-1]), grammar.branching)
        ]
        levels.append(
            [
                [Fraction(sum(rule_weights(children, rules)), len(rules)) for rules in table]
                for children in groups
            ]
        )
    return levels


def downward(grammar: Grammar, messages: list[Beliefs]) -> list[Beliefs]:
    """Derivatives of the evidence by every message, from the root (1/v) down, leaves first."""
    levels = [[[Fraction(1, grammar.vocabulary)] * grammar.vocabulary]]
    for table, below in zip(reversed(grammar.tables), reversed(messages[:-1]), strict=True):
        found = [[Fraction(0)] * grammar.vocabulary for _ in below]
        for node, above in enumerate(levels[0]):
            children = range(node * grammar.branching, (node + 1) * grammar.branching)
            for symbol, rules in enumerate(table):
                for rule in rules:
                    for child, derived in zip(children, rule, strict=True):
                        others = (
                            below[i][x] for i, x in zip(children, rule, strict=True) if i != child
                        )
                        found[child][derived] += above[symbol] * math.prod(others) / len(rules)
        levels.insert(0, found)
    return levels


def rule_weights(children: Beliefs, rules) -> list[Fraction]:
    """Of each rule, the product of its children's messages."""
    return [
        math.prod(child[symbol] for child, symbol in zip(children, rule, strict=True))
        for rule in rules
    ]


class Moments(NamedTuple):
    """Moments of N, the number of leaves that differ from the start.

    Connected sums of pairs are listed by the level of the pair's common ancestor.
    """

    mean: Fraction
    variance: Fraction
    leaf_variance: Fraction
    pair_sums: list[Fraction]


def enumerated_moments(grammar: Grammar, likelihood: Beliefs, start: tuple[int, ...]) -> Moments:
    """By all trees."""
    chances = tree_weights(grammar, likelihood)
    changed = [
        [int(x != y) for x, y in zip(tree.leaves, start, strict=True)] for tree in trees(grammar)
    ]

    def mean(values) -> Fraction:
        return sum(
            (chance * value for chance, value in zip(chances, values, strict=True)), Fraction(0)
        ) / sum(chances)

    def covariance(i: int, j: int) -> Fraction:
        return mean([row[i] * row[j] for row in changed]) - mean(
            [row[i] for row in changed]
        ) * mean([row[j] for row in changed])

    pairs = [Fraction(0)] * len(grammar.tables)
    for i, j in itertools.permutations(range(grammar.length), 2):
        pairs[_meet(i, j, grammar.branching) - 1] += covariance(i, j)
    totals = [sum(row) for row in changed]
    spread = mean([total**2 for total in totals]) - mean(totals) ** 2
    return Moments(
        mean(totals), spread, sum(covariance(i, i) for i in range(grammar.length)), pairs
    )


def _meet(i: int, j: int, branching: int) -> int:
    level = 0
    while i != j:
        i = i // branching
        j = j // branching
        level = level + 1
    return level


def recursive_moments(grammar: Grammar, likelihood: Beliefs, start: tuple[int, ...]) -> Moments:
    """The same by one pass.

    It carries conditional means N and variances V, mixed about N(a), and the products of
    deviations under each rule.
    """
    messages = upward(grammar, likelihood)
    derivatives = downward(grammar, messages)
    evidence = sum(messages[-1][0]) / grammar.vocabulary
    law = [
        [(Fraction(int(x != kept)), Fraction(0)) for x in range(grammar.vocabulary)]
        for kept in start
    ]
    leaf_variance = sum(
        share * (1 - share)
        for share in _posterior_means(law, messages[0], derivatives[0], evidence)
    )
    pairs = []
    for table, below, derivative_below, derivative in zip(
        grammar.tables, messages, derivatives, derivatives[1:], strict=False
    ):
        means = _posterior_means(law, below, derivative_below, evidence)
        above = []
        total = Fraction(0)
        for node, outer in enumerate(derivative):
            children = range(node * grammar.branching, (node + 1) * grammar.branching)
            above.append([])
            for symbol, rules in enumerate(table):
                shares = rule_weights([below[i] for i in children], rules)
                reach = sum(shares)
                laws = [[law[i][x] for i, x in zip(children, rule, strict=True)] for rule in rules]
                sums = [
                    (sum(n for n, _ in parts), sum(spread for _, spread in parts)) for parts in laws
                ]
                mean = (
                    sum(share * n for share, (n, _) in zip(shares, sums, strict=True)) / reach
                    if reach
                    else Fraction(0)
                )
                parts = [spread + (n - mean) ** 2 for n, spread in sums]
                mixed = (
                    sum(share * part for share, part in zip(shares, parts, strict=True)) / reach
                    if reach
                    else Fraction(0)
                )
                above[-1].append((mean, mixed))
                for share, children_laws in zip(shares, laws, strict=True):
                    deviations = [
                        n - means[i] for (n, _), i in zip(children_laws, children, strict=True)
                    ]
                    products = sum(x * y for x, y in itertools.permutations(deviations, 2))
                    total += outer[symbol] * share / len(rules) / evidence * products
        law = above
        pairs.append(total)
    root = [share / sum(messages[-1][0]) for share in messages[-1][0]]
    mean = sum(share * n for share, (n, _) in zip(root, law[0], strict=True))
    variance = sum(
        share * (spread + (n - mean) ** 2) for share, (n, spread) in zip(root, law[0], strict=True)
    )
    return Moments(mean, variance, leaf_variance, pairs)


def _posterior_means(
    law, messages: Beliefs, derivatives: Beliefs, evidence: Fraction
) -> list[Fraction]:
    """The posterior mean of each node's N."""
    return [
        sum(
            n * message * derivative
            for (n, _), message, derivative in zip(laws, up, down, strict=True)
        )
        / evidence
        for laws, up, down in zip(law, messages, derivatives, strict=True)
    ]


def random_tables(
    vocabulary: int, rules: int, branching: int
) -> Iterator[tuple[tuple[tuple[int, ...], ...], ...]]:
    """All tables whose first rule of symbol 0 is (0, .., 0), equally likely.

    Each is mv distinct tuples in some order.
    """
    tuples = list(itertools.product(range(vocabulary), repeat=branching))
    for others in itertools.permutations(tuples[1:], vocabulary * rules - 1):
        chosen = (tuples[0], *others)
        yield tuple(chosen[symbol * rules : (symbol + 1) * rules] for symbol in range(vocabulary))


class Case(NamedTuple):
    """A small grammar with a likelihood of its leaves, a start, and two places to look at."""

    grammar: Grammar
    likelihood: tuple[tuple[Fraction, ...], ...]
    start: tuple[int, ...]
    places: tuple[tuple[int, int], tuple[int, int]]  # (leaf, symbol) twice
    tree: int  # modulo the number of trees

    @property
    def name(self) -> str:
        rows = " ".join("".join(str(int(7 * entry)) for entry in row) for row in self.likelihood)
        return f"tables {self.grammar.tables}, 7 x likelihood {rows}, start {self.start}"


SIZES = ((2, 2, 2, 2), (3, 2, 2, 2), (2, 2, 3, 1), (2, 1, 2, 3), (2, 3, 2, 2), (3, 3, 2, 1))


def random_grammar(generator: random.Random) -> Grammar:
    """A grammar of at most 54 trees. Rules may repeat, so it may be ambiguous."""
    vocabulary, rules, branching, depth = generator.choice(SIZES)
    tuples = list(itertools.product(range(vocabulary), repeat=branching))
    return Grammar(
        tuple(
            tuple(tuple(generator.choice(tuples) for _ in range(rules)) for _ in range(vocabulary))
            for _ in range(depth)
        )
    )


def random_case(generator: random.Random) -> Case:
    """A random grammar, and a likelihood of sevenths with zeros."""
    grammar = random_grammar(generator)
    entries = (Fraction(max(0, generator.randint(-2, 6)), 7) for _ in itertools.count())
    return case_of(
        grammar,
        tuple(
            tuple(next(entries) for _ in range(grammar.vocabulary)) for _ in range(grammar.length)
        ),
        generator,
    )


def case_of(grammar: Grammar, likelihood: Beliefs, generator: random.Random) -> Case:
    """The grammar and likelihood with a random start, places and tree."""
    symbols = range(grammar.vocabulary)
    leaves = range(grammar.length)
    return Case(
        grammar=grammar,
        likelihood=tuple(tuple(row) for row in likelihood),
        start=tuple(generator.choice(symbols) for _ in leaves),
        places=tuple((generator.choice(leaves), generator.choice(symbols)) for _ in range(2)),
        tree=generator.randrange(10**6),
    )


def special_cases() -> tuple[Case, ...]:
    """No evidence, leaves that are seen, one sequence only, and a place that is looked at twice."""
    generator = random.Random(0)
    no_evidence = [[Fraction(1)] * 3] * 4
    seen = trees(SMALL[0])[5].leaves
    known = [[Fraction(int(symbol == x)) for x in range(3)] for symbol in seen]
    one_sequence = Grammar((((((0, 1), (0, 1)), ((0, 1), (0, 1)))),))
    twice = case_of(SMALL[0], generic_likelihood(SMALL[0]), generator)
    return (
        case_of(SMALL[0], no_evidence, generator),
        case_of(SMALL[0], known, generator)._replace(start=seen),
        case_of(one_sequence, [[Fraction(1, 7), Fraction(3, 7)]] * 2, generator),
        twice._replace(places=(twice.places[0],) * 2),
    )
