"""Numbers of a tree of changes that the searches compare with, from tuples and states alone.

A node is unchanged (0) or changed (1). The law of the children's states follows from the weights
of all tuples of children, by Bayes' rule. Small trees are enumerated. Deep ones are followed level
by level. No closed form of the ledger is used.
"""

import itertools
import math
from typing import NamedTuple

from mpmath import mpf

from derivations.hierarchy.measures import Shape, bayes
from derivations.ledger.theorems import NoValue

MOST_LEAVES = 9  # of a tree whose states are enumerated


class Children(NamedTuple):
    """The law of the children's states under an unchanged and under a changed parent.

    ``true_rule`` is the probability that an unchanged parent took its true rule.
    """

    under_unchanged: dict[tuple, object]
    under_changed: dict[tuple, object]
    true_rule: object


class Level(NamedTuple):
    """One and two children: P(changed | changed), P(changed | unchanged) and Cov by the parent."""

    changed_by_changed: object
    changed_by_unchanged: object
    both_by_changed: object
    both_by_unchanged: object
    true_rule: object

    def slope(self):
        """How much a changed parent raises the probability that a child is changed."""
        return self.changed_by_changed - self.changed_by_unchanged

    def changed(self, unchanged):
        """P(child changed), if the parent is unchanged with probability ``unchanged``."""
        return unchanged * self.changed_by_unchanged + (1 - unchanged) * self.changed_by_changed

    def covariance(self, unchanged):
        """The covariance of two children's states."""
        both = unchanged * self.both_by_unchanged + (1 - unchanged) * self.both_by_changed
        return both - self.changed(unchanged) ** 2


class Sums(NamedTuple):
    """A tree: χ, P(leaf changed), and the smallest and largest covariance of siblings."""

    susceptibility: object
    changed: object
    least: object
    largest: object


def children(shape: Shape, belief) -> Children:
    """The law of all children's states, from the weights of all tuples.

    A parent that is unchanged took its true rule or one of m - 1 others. A changed one took
    another tuple than the true one. All other tuples have one mean weight, in which a child has
    its own belief.
    """
    bayes(shape, belief)  # NoValue if there is no such hierarchy
    width = int(shape.branching)
    if width < 1:
        raise NoValue("a node has a child")
    if not belief < 1:
        raise NoValue("a child that is surely unchanged leaves no other tuple")
    weights = {
        states: math.prod((belief, 1 - belief)[state] for state in states)
        for states in itertools.product((0, 1), repeat=width)
    }
    true_tuple = (0,) * width
    true = weights.pop(true_tuple)
    others = sum(weights.values())
    # v^s - 1 other tuples share the weight of the others, and m - 1 of them are rules.
    other_rules = (shape.rules - 1) * others / (shape.vocabulary**shape.branching - 1)
    true_rule = true / (true + other_rules)
    changed = {states: weight / others for states, weight in weights.items()}
    unchanged = {states: (1 - true_rule) * chance for states, chance in changed.items()}
    return Children(unchanged | {true_tuple: true_rule}, changed, true_rule)


def level_of(shape: Shape, belief) -> Level:
    """What :func:`children` says of one child and of two."""
    law = children(shape, belief)

    def chance(states_by_chance, count):
        return sum(one for states, one in states_by_chance.items() if all(states[:count]))

    if shape.branching < 2:
        raise NoValue("one child has no sibling")
    return Level(
        changed_by_changed=chance(law.under_changed, 1),
        changed_by_unchanged=chance(law.under_unchanged, 1),
        both_by_changed=chance(law.under_changed, 2),
        both_by_unchanged=chance(law.under_unchanged, 2),
        true_rule=law.true_rule,
    )


def followed(levels: list[Level], unchanged, branching) -> Sums:
    """Down from a root that is unchanged with probability ``unchanged``; ``levels`` from the top.

    Pairs of leaves below one node split at one of its children, or further down.
    """
    pairs, least, largest = mpf(0), None, None
    for level in levels:
        covariance = level.covariance(unchanged)
        pairs = branching * level.slope() ** 2 * pairs + (branching - 1) * covariance
        unchanged = 1 - level.changed(unchanged)
        least = covariance if least is None else min(least, covariance)
        largest = covariance if largest is None else max(largest, covariance)
    return Sums(1 + pairs / (unchanged * (1 - unchanged)), 1 - unchanged, least, largest)


def beliefs_upward(shape: Shape, belief, depth: int) -> list:
    """p_0 .. p_depth, by Bayes' rule level by level."""
    found = [belief]
    for _ in range(int(depth)):
        found.append(bayes(shape, found[-1]))
    return found


def tree(shape: Shape, belief, depth: int) -> Sums:
    """Up from ``belief`` at the leaves, and down again."""
    if depth < 0:
        raise NoValue("a tree has levels")
    *below, root = beliefs_upward(shape, belief, depth)
    return followed([level_of(shape, at) for at in reversed(below)], root, shape.branching)


def all_states(shape: Shape, belief, depth: int) -> list[dict[tuple, object]]:
    """The law of all nodes' states on each level, leaves first, from every state of the tree.

    :class:`NoValue` for more than ``MOST_LEAVES`` leaves, whose states are too many.
    """
    if int(shape.branching) ** int(depth) > MOST_LEAVES:
        raise NoValue("too many states")
    *below, root = beliefs_upward(shape, belief, depth)
    found = [{(0,): root, (1,): 1 - root}]
    for at in reversed(below):
        found.append(_one_level_down(found[-1], children(shape, at)))
    return found[::-1]


def _one_level_down(above: dict[tuple, object], law: Children) -> dict[tuple, object]:
    laws = law.under_unchanged, law.under_changed
    found: dict[tuple, object] = {}
    for parents, chance in above.items():
        joined = {(): chance}
        for parent in parents:
            joined = {
                states + block: before * here
                for states, before in joined.items()
                for block, here in laws[parent].items()
            }
        for states, here in joined.items():
            found[states] = found.get(states, 0) + here
    return found


def covariance_of(law: dict[tuple, object], one: int, other: int):
    """Cov of two nodes' states under ``law``."""
    first, second, both = (
        sum(chance for states, chance in law.items() if all(states[node] for node in nodes))
        for nodes in ((one,), (other,), (one, other))
    )
    return both - first * second
