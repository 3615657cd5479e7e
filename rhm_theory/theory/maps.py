"""The maps of the mean field: one level up, one level down, what they fix, and where it peaks."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import Bool, Float

from rhm_theory.theory.rules import Rules
from theory_common.numerics import roots
from theory_common.numerics.implicit import implicit_root
from theory_common.printing.display import readable


@readable()
class FixedPoints(NamedTuple):
    """Where F(p) = p.

    Attributes:
        lost: 1/v, where nothing is known of the root.
        interior: the point between, NaN unless it exists.
        recovered: 1, where the root is known.
        exists: whether there is an interior point.
    """

    lost: Float[AnyArray, "*batch"]
    interior: Float[AnyArray, "*batch"]
    recovered: Float[AnyArray, "*batch"]
    exists: Bool[AnyArray, "*batch"]


@readable()
class Criticality(NamedTuple):
    r"""The transition; NaN and False where there is none.

    Attributes:
        noise: the critical level :math:`\varepsilon^*`.
        belief: the interior fixed point :math:`p^*`.
        slope: :math:`F'(p^*) > 1`.
        exponent: :math:`\nu = \ln s/\ln F'(p^*)`.
        correlation_decay: :math:`a = 2 - 2/\nu`. At the transition C(r) falls like
            :math:`r^{-a}`.
        kesten_stigum: :math:`F'(p^*)^2/s`.
        diverges: whether ``kesten_stigum`` exceeds 1 (nu < 2), so that the susceptibility diverges
            with the depth.
        susceptibility_growth: power of the number of leaves at the transition,
            :math:`\max(2/\nu - 1, 0)`.
        susceptibility_exponent: power of the inverse distance to the transition,
            :math:`\max(2 - \nu, 0)`.
    """

    noise: Float[AnyArray, "*batch"]
    belief: Float[AnyArray, "*batch"]
    slope: Float[AnyArray, "*batch"]
    exponent: Float[AnyArray, "*batch"]
    correlation_decay: Float[AnyArray, "*batch"]
    kesten_stigum: Float[AnyArray, "*batch"]
    diverges: Bool[AnyArray, "*batch"]
    susceptibility_growth: Float[AnyArray, "*batch"]
    susceptibility_exponent: Float[AnyArray, "*batch"]


@readable()
class Correlations(NamedTuple):
    """Changes of leaves at finite depth: ``n`` is 1 where a leaf changed.

    Attributes:
        mean_changed: P(a leaf changed).
        variance: of one leaf.
        covariance: Cov(n_i, n_j) for a common ancestor at level 1 .. depth. The spins of the paper,
            1 - 2n, have four times this.
        susceptibility: the sum of all covariances over that of the variances; its limit, 1, at
            level 0 of the noise.
    """

    mean_changed: Float[AnyArray, "*batch"]
    variance: Float[AnyArray, "*batch"]
    covariance: Float[AnyArray, "*batch depth"]
    susceptibility: Float[AnyArray, "*batch"]


@readable()
class Peak(NamedTuple):
    """The largest susceptibility at a finite depth.

    Attributes:
        noise: the level of the noise where it is reached; NaN if the susceptibility is flat.
        height: the susceptibility there.
    """

    noise: Float[AnyArray, "*batch"]
    height: Float[AnyArray, "*batch"]


def _geometric(ratio: Array, terms: int) -> Array:
    """``sum_{k < terms} ratio^k``, of positive terms."""
    total = jnp.zeros_like(ratio)
    for _ in range(terms):
        total = 1 + ratio * total
    return total


def _denominator(belief: Array, rules: Rules, branching: int) -> Array:
    v, m = rules
    return (v**branching - m * v) * belief**branching + (m * v - 1)


@functools.partial(jax.jit, static_argnums=2)
def step_of(changed: Array, rules: Rules, branching: int) -> Array:
    """``1 - F(1 - changed)``, in which nothing cancels: ``m (v-1) (1 - p^s) / denominator``."""
    belief = 1 - changed
    v, m = rules
    return changed * (
        m * (v - 1) * _geometric(belief, branching) / _denominator(belief, rules, branching)
    )


@functools.partial(jax.jit, static_argnums=2)
def slope_of(belief: Array, rules: Rules, branching: int) -> Array:
    """F'(p), without overflow where the map itself has none."""
    v, m = rules
    below = _denominator(belief, rules, branching)
    # Two quotients: the square of the denominator overflows float32 for long rules.
    return (branching * m * (v - 1) * belief ** (branching - 1) / below) * (
        (v**branching - 1) / below
    )


@functools.partial(jax.jit, static_argnums=(2, 3))
def changed_at(
    noise: Array, rules: Rules, branching: int, capacity: int, depth: Array
) -> tuple[Array, Array]:
    """``1 - p`` at every level (last axis), and its ratio to that of the leaves.

    Above the root it is as at the root. The ratio is finite at level 0 of the noise.
    """
    leaf = noise * (1 - 1 / rules.vocabulary)

    def ascend(ratio, level):
        belief = 1 - leaf * ratio
        growth = (
            rules.per_symbol
            * (rules.vocabulary - 1)
            * _geometric(belief, branching)
            / _denominator(belief, rules, branching)
        )
        return jnp.where(level < depth, ratio * growth, ratio), ratio

    start = jnp.ones(jnp.broadcast_shapes(leaf.shape, depth.shape), leaf.dtype)
    last, ratios = jax.lax.scan(ascend, start, jnp.arange(capacity))
    ratios = jnp.concatenate([jnp.moveaxis(ratios, 0, -1), last[..., None]], -1)
    return leaf[..., None] * ratios, ratios


@functools.partial(jax.jit, static_argnums=(2, 3))
def correlations_at(
    noise: Array, rules: Rules, branching: int, capacity: int, depth: Array
) -> Correlations:
    """:class:`Correlations` with zeros above the depth."""
    changed, ratios = (
        jnp.moveaxis(array, -1, 0) for array in changed_at(noise, rules, branching, capacity, depth)
    )
    leaf, (v, m) = changed[0], rules

    def descend(parent, child):
        """``parent`` and all results are divided by ``leaf`` = 1 - p_0.

        So their limit at level 0 of the noise is finite, and so are derivatives.
        """
        level, child_changed, child_ratio = child
        belief = 1 - child_changed
        power = belief**branching
        terms = _geometric(belief, branching)
        unchanged = 1 - leaf * parent
        # Proportional to the weight of all rules of the true symbol.
        total = (v**branching - m) * power + (m - 1)
        true_rule = power * (v**branching - 1) / total
        # 1 - true_rule, over leaf.
        other_rule = (m - 1) * child_ratio * terms / total
        # true_rule - power, which would cancel.
        excess = power * (v**branching - m) * child_changed * terms / total
        siblings = (
            unchanged * other_rule * excess - parent * power + unchanged * parent * true_rule**2
        ) / terms**2
        child = jnp.where(level < depth, (unchanged * other_rule + parent) / terms, parent)
        return child, (jnp.where(level < depth, siblings, 0), true_rule / terms)

    levels = jnp.arange(capacity), changed[:-1], ratios[:-1]
    mean, (siblings, damping) = jax.lax.scan(descend, ratios[-1], levels, reverse=True)
    path = jnp.cumprod(jnp.concatenate([jnp.ones_like(damping[:1]), damping[:-1]]), 0)
    covariance = siblings * path**2
    variance = mean * (1 - leaf * mean)
    pairs = (branching - 1) * jnp.asarray(
        [float(branching) ** level for level in range(capacity)], leaf.dtype
    )
    return Correlations(
        mean_changed=leaf * mean,
        variance=leaf * variance,
        covariance=jnp.moveaxis(leaf * covariance, 0, -1),
        susceptibility=1 + jnp.tensordot(pairs, covariance, 1) / variance,
    )


@functools.partial(jax.jit, static_argnums=1)
def fixed_points_of(rules: Rules, branching: int) -> FixedPoints:
    """All fixed points of F, with derivatives in the rules."""
    v = rules.vocabulary
    lost = 1 / v
    recovered = jnp.where(jnp.isnan(v), v, 1)
    exists = (slope_of(lost, rules, branching) < 1) & (slope_of(recovered, rules, branching) < 1)
    # A number that is inside in any case, so that the derivatives of the unused branch are finite:
    # m^2 = v^(s-1) has p* = v^(-1/2).
    safe = Rules(v, jnp.where(exists, rules.per_symbol, v ** ((branching - 1) / 2)))
    return FixedPoints(
        lost=lost,
        interior=jnp.where(exists, _interior_root(branching, safe), jnp.nan),
        recovered=recovered,
        exists=exists,
    )


@functools.partial(jax.jit, static_argnums=1)
def criticality_of(rules: Rules, branching: int) -> Criticality:
    """All that follows from the interior fixed point and the slope there."""
    belief = fixed_points_of(rules, branching).interior
    ascent = slope_of(belief, rules, branching)
    exponent = jnp.log(branching) / jnp.log(ascent)
    return Criticality(
        noise=(1 - belief) / (1 - 1 / rules.vocabulary),
        belief=belief,
        slope=ascent,
        exponent=exponent,
        correlation_decay=2 - 2 / exponent,
        kesten_stigum=ascent**2 / branching,
        diverges=ascent**2 > branching,
        susceptibility_growth=jnp.maximum(2 / exponent - 1, 0),
        susceptibility_exponent=jnp.maximum(2 - exponent, 0),
    )


def _interior_equation(belief: Array, rules: Rules, branching: int) -> Array:
    """``sum_{k<s} (v^k - m) p^k``: one change of sign of its coefficients, so one positive root."""
    return _geometric(rules.vocabulary * belief, branching) - rules.per_symbol * _geometric(
        belief, branching
    )


def _interior_root(branching: int, rules: Rules) -> Array:
    """The root in (1/v, 1), by bisection of the logarithm to the last digit."""
    equation = functools.partial(_interior_equation, branching=branching)
    fixed = jax.lax.stop_gradient(rules)

    def beyond(belief):
        return ~(equation(belief, fixed) < 0)

    low = 1 / fixed.vocabulary
    halvings = jnp.finfo(low.dtype).nmant + 8
    ends = roots.bisect(beyond, low, jnp.ones_like(low), halvings, logarithmic=True)
    return implicit_root(equation, jnp.sqrt(ends.low * ends.high), rules)


def _susceptibility_slope(
    noise: Array, rules: Rules, depth: Array, branching: int, capacity: int
) -> Array:
    def chi(place):
        return correlations_at(place, rules, branching, capacity, depth).susceptibility

    return jax.jvp(chi, (noise,), (jnp.ones_like(noise),))[1]


def peak_place(branching: int, capacity: int, depth: np.ndarray, rules: Rules) -> Array:
    """The place of the peak, with its implicit derivatives in ``rules``."""
    depth, fixed = jax.lax.stop_gradient((depth, rules))
    slope_at = functools.partial(_susceptibility_slope, branching=branching, capacity=capacity)
    place = _highest_place(branching, capacity, depth, fixed)
    return implicit_root(slope_at, place, rules, depth)


@functools.partial(jax.jit, static_argnums=(2, 3))
def peak_at(place: Array, rules: Rules, branching: int, capacity: int, depth: Array) -> Peak:
    """The peak at its place; the place is NaN where the susceptibility is flat."""
    height = correlations_at(place, rules, branching, capacity, depth).susceptibility
    flat = rules.per_symbol >= rules.vocabulary ** (branching - 1)
    return Peak(noise=jnp.where(flat, jnp.nan, place), height=height)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _highest_place(branching: int, capacity: int, depth: Array, rules: Rules) -> Array:
    """The best of a grid, then bisection of the slope between its neighbours.

    An end of [0, 1] if that is the best.
    """
    grid = jnp.linspace(0, 1, 257, dtype=rules.vocabulary.dtype)
    spread = grid.reshape(-1, *[1] * rules.vocabulary.ndim)
    best = jnp.argmax(correlations_at(spread, rules, branching, capacity, depth).susceptibility, 0)

    def beyond(noise):
        return ~(_susceptibility_slope(noise, rules, depth, branching, capacity) > 0)

    low = grid[jnp.maximum(best - 1, 0)]
    high = grid[jnp.minimum(best + 1, 256)]
    ends = roots.bisect(beyond, low, high, jnp.finfo(grid.dtype).nmant - 6)
    return jnp.where(jnp.isnan(rules.vocabulary), jnp.nan, (ends.low + ends.high) / 2)
