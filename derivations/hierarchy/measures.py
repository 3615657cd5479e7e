"""Numbers that the searches compare the mean field's claims with, from Bayes' rule alone.

No closed form of the ledger is used. The map is Bayes' rule with mean messages. Its fixed points
are found by sign changes on a fine grid, its slopes by complex steps, and its limits by iteration.
All numbers are mpmath's, at the precision that is set when a function is called.
"""

from collections.abc import Callable
from typing import NamedTuple

import mpmath
from mpmath import mpf

from derivations.descent_ascent.measures import root_between
from derivations.ledger.theorems import NoValue

GRID = 100  # cells in which sign changes are looked for, where the number of roots is known
FINE_GRID = 300  # where it is not
DECADES = 12  # how near to the ends of the interval they begin
MOST_LEVELS = 4000
NEAR_AN_END = mpf("1e-9")


class Shape(NamedTuple):
    """v symbols, m rules for each (not necessarily a whole number), s symbols in each rule."""

    vocabulary: object
    rules: object
    branching: object


def bayes(shape: Shape, belief):
    """The belief in a node's true symbol, from the beliefs in its children's true symbols.

    The messages are means over random rules. A complex ``belief`` is for :func:`slope_at`.
    :class:`NoValue` if there is no such hierarchy or no such belief.
    """
    vocabulary, rules, branching = shape
    if not 0 <= mpmath.re(belief) <= 1:
        raise NoValue("a belief lies in [0, 1]")
    if rules < 1:
        raise NoValue("each symbol has a rule")
    if rules * vocabulary > vocabulary**branching:
        raise NoValue("there are fewer tuples than rules")
    one_child = belief + (vocabulary - 1) * ((1 - belief) / (vocabulary - 1))
    true_tuple = belief**branching
    other_tuple = (one_child**branching - true_tuple) / (vocabulary**branching - 1)
    true_symbol = true_tuple + (rules - 1) * other_tuple
    all_others = (vocabulary - 1) * rules * other_tuple
    return true_symbol / (true_symbol + all_others)


def slope_at(function: Callable, at):
    """The derivative of a rational function, by a complex step. Its error is of second order."""
    step = mpf(10) ** -mpmath.mp.dps
    return mpmath.im(function(mpmath.mpc(at, step))) / step


def interior_fixed_points(shape: Shape, cells: int = GRID) -> list:
    """All beliefs strictly between 1/v and 1 that :func:`bayes` keeps.

    They are bracketed by sign changes on a grid that is fine near both ends, then bisected. Two in
    one of the ``cells`` are missed.
    """

    def excess(at):
        return bayes(shape, at) - at

    low = 1 / mpf(shape.vocabulary)
    odds = (mpf(10) ** (mpf(k) * 2 * DECADES / cells - DECADES) for k in range(cells + 1))
    grid = [low + (1 - low) * t / (1 + t) for t in odds]
    signs = [mpmath.sign(excess(at)) for at in grid]
    found = [at for at, sign in zip(grid, signs, strict=True) if sign == 0]
    for index in range(cells):
        if signs[index] * signs[index + 1] < 0:
            ends = grid[index], grid[index + 1]
            found.append(root_between(excess, lambda at: slope_at(excess, at), *ends))
    return found


def the_fixed_point(shape: Shape):
    """The interior fixed point. :class:`NoValue` unless there is exactly one."""
    found = interior_fixed_points(shape)
    if len(found) != 1:
        raise NoValue(f"{len(found)} interior fixed points")
    return found[0]


def settled(shape: Shape, belief):
    """The end, 1/v or 1, near which the orbit of ``belief`` settles."""
    low = 1 / mpf(shape.vocabulary)
    for _ in range(MOST_LEVELS):
        if belief - low < NEAR_AN_END:
            return low
        if 1 - belief < NEAR_AN_END:
            return mpf(1)
        belief = bayes(shape, belief)
    raise NoValue("the orbit does not settle")


def levels_to_leave(shape: Shape, fixed_point, deviation):
    """How many levels take ``fixed_point + deviation`` half of the way to the next end.

    The last level counts in part, as if the deviation grew by a constant factor within it.
    """
    end = 1 if deviation > 0 else 1 / mpf(shape.vocabulary)
    half = abs(end - fixed_point) / 2
    belief, before = fixed_point + deviation, abs(deviation)
    for level in range(MOST_LEVELS):
        belief = bayes(shape, belief)
        after = abs(belief - fixed_point)
        if after >= half:
            return level + mpmath.log(half / before) / mpmath.log(after / before)
        before = after
    raise NoValue("too many levels")
