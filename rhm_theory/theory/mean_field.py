r"""Mean field of the Random Hierarchy Model under the epsilon-process.

Mean field averages the numerator and the denominator of Bayes' rule over grammars separately.
:math:`p_\ell` is the probability of a true symbol of level :math:`\ell`, given the leaves below it.
On the leaves it is :math:`p_0 = 1 - \varepsilon + \varepsilon/v`. One level up, Bayes' rule with
random rules gives :math:`p_{\ell+1} = F(p_\ell)`,

.. math:: F(p) = \frac{(v^s-m) p^s + m - 1}{(v^s-mv) p^s + mv - 1}.

On the way down each node is *unchanged* (U) or *changed* (C), with a probability that depends only
on its parent. So the correlation of two leaves is a product along the path that joins them.

The functions need no grammar, only the numbers ``vocabulary`` v, ``rules_per_symbol`` m,
``branching`` s and ``depth``. v and m may be batched. They may be fractional, as the duality m <->
v^(s-1)/m needs. The depth may be batched where the result's shape does not depend on it. s is a
Python integer. No formula computes a probability of *change* as a difference, so all are accurate
at small noise too.

Every public function has the same domain. ``vocabulary`` is finite and >= 2. ``rules_per_symbol``
is at least 1 and at most v^(s-1). ``branching`` is an integer >= 2. The noise ``level``
:math:`\varepsilon` and a ``belief`` (a value of p) are in [0, 1]. A value outside raises
``ValueError`` with the name of the argument, one of a wrong type ``TypeError``. A traced value
outside gives NaN.

Source: *Probing the Latent Hierarchical Structure of Data via Diffusion Models*, arXiv:2410.13770.
The factorisation for every s, the duality and the closed-form correlations are new.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Bool, Float, Int

from theory_common import checks
from theory_common.claims import backed_by
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


@backed_by("rhm-upward-map", "rhm-random-rules")
def upward(
    level: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
    depth: int,
) -> Float[AnyArray, "*batch levels"]:
    r"""Probability of the start's symbol given the leaves below: :math:`p_{\ell+1} = F(p_\ell)`.

    Args:
        level: :math:`\varepsilon` of the noise in [0, 1].
        vocabulary: v >= 2.
        rules_per_symbol: m, 1 <= m <= v^(s-1).
        branching: s >= 2.
        depth: levels of rules, >= 0.

    Returns: the probability at level 0 (leaves) to ``depth`` (root) of the tree, in the last axis.
    Raises: ``TypeError`` or ``ValueError`` that names the argument; traced values out of range give
        NaN.
    Source: arXiv:2410.13770. Claims: ``rhm-upward-map``, ``rhm-random-rules``.
    """
    epsilon, rules, branching = _checked_arguments(
        "upward", vocabulary, rules_per_symbol, branching, level=level
    )
    depth = checks.whole("depth", depth)
    return 1 - _changed(epsilon, rules, branching, *_capacity(depth, least=0))[0][..., : depth + 1]


@backed_by("rhm-upward-map")
def step(
    belief: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
) -> Float[AnyArray, "*batch"]:
    """F(p): one level up from the probability p of the true symbol, the others being equal.

    Args:
        belief: p in [0, 1].
        vocabulary: as in :func:`upward`, and so the other numbers.

    Raises: as :func:`upward`.
    Claim: ``rhm-upward-map``.
    """
    p, rules, branching = _checked_arguments(
        "step", vocabulary, rules_per_symbol, branching, belief=belief
    )
    return 1 - _step(1 - p, rules, branching)


@backed_by("rhm-upward-slope")
def slope(
    belief: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
) -> Float[AnyArray, "*batch"]:
    r""":math:`F'(p) = s m (v-1)(v^s-1) p^{s-1} / ((v^s-mv) p^s + mv - 1)^2`.

    Args: as :func:`step`.
    Raises: as :func:`upward`.
    Claim: ``rhm-upward-slope``.
    """
    p, rules, branching = _checked_arguments(
        "slope", vocabulary, rules_per_symbol, branching, belief=belief
    )
    return _slope(p, rules, branching)


@backed_by("rhm-fixed-points", "rhm-transition")
def fixed_points(
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
) -> FixedPoints:
    r"""All fixed points of F in [1/v, 1].

    .. math:: F(p) = p \iff (p-1)(vp-1) \sum_{k<s} (v^k - m) p^k = 0 .

    The interior one exists iff :math:`s v^{s-1}(v-1)/(v^s-1) < m < (v^s-1)/(s(v-1))`, which is
    F' < 1 at both ends. Then it is unique and repels.

    Args: vocabulary: as in :func:`upward`, and so the other numbers.
    Raises: as :func:`upward`.
    Accuracy: a few eps; derivatives are implicit.
    Source: new. Claims: ``rhm-fixed-points``, ``rhm-transition``.
    """
    rules, branching = _checked_rules("fixed_points", vocabulary, rules_per_symbol, branching)
    return _fixed_points(rules, branching)


@backed_by(
    "rhm-transition",
    "rhm-critical-noise",
    "rhm-critical-values",
    "rhm-exponent",
    "rhm-path-damping",
    "rhm-stationary-covariance",
    "rhm-susceptibility-exponents",
    "rhm-susceptibility-off-critical",
)
def criticality(
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
) -> Criticality:
    """The transition and everything that scales at it; see :class:`Criticality`.

    Args: vocabulary: as in :func:`upward`, and so the other numbers.
    Raises: as :func:`upward`.
    Source: new, beyond noise and exponent. Claims: ``rhm-transition``, ``rhm-critical-noise``,
    ``rhm-critical-values``, ``rhm-exponent``, ``rhm-path-damping``, ``rhm-stationary-covariance``,
    ``rhm-susceptibility-exponents``, ``rhm-susceptibility-off-critical``.
    """
    rules, branching = _checked_rules("criticality", vocabulary, rules_per_symbol, branching)
    return _criticality(rules, branching)


@backed_by("rhm-critical-noise")
def critical_noise(
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
) -> Float[AnyArray, "*batch"]:
    r""":math:`\varepsilon^* = (1-p^*)/(1-1/v)`, NaN without a transition.

    Args: vocabulary: as in :func:`upward`, and so the other numbers.
    Raises: as :func:`upward`.
    Claim: ``rhm-critical-noise``.
    """
    return criticality(
        vocabulary=vocabulary, rules_per_symbol=rules_per_symbol, branching=branching
    ).noise


@backed_by("rhm-exponent")
def exponent(
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
) -> Float[AnyArray, "*batch"]:
    r""":math:`\nu = \ln s/\ln F'(p^*)`: the power with which the correlation length diverges.

    NaN without a transition.

    Args: vocabulary: as in :func:`upward`, and so the other numbers.
    Raises: as :func:`upward`.
    Claim: ``rhm-exponent``.
    """
    return criticality(
        vocabulary=vocabulary, rules_per_symbol=rules_per_symbol, branching=branching
    ).exponent


@backed_by("rhm-exponent")
def correlated_size(
    distance: Float[ArrayLike, "*batch"],
    *,
    vocabulary: float,
    rules_per_symbol: float,
    branching: int,
    levels: int = 120,
) -> Float[np.ndarray, "*batch"]:
    r"""The number of leaves decided together, at a relative ``distance`` below the critical noise.

    With :math:`\delta = 1 - \varepsilon/\varepsilon^*` it is :math:`s^\ell` for the level
    :math:`\ell` (interpolated) at which :math:`p_\ell` has gone half of the way from :math:`p^*` to
    1. It diverges like :math:`\delta^{-\nu}`.

    Args:
        distance: :math:`\delta` in (0, 1], any shape.
        vocabulary: as in :func:`upward`, and so the other numbers; one number, no array.
        levels: the largest level that is looked at, where the size is capped.

    Returns: the size; NaN without a transition.
    Raises: as :func:`upward`.
    Accuracy: the rounding of :math:`p^*` over ``distance``.
    Source: new, to see what :func:`exponent` claims. Claim: ``rhm-exponent``.
    """
    numbers = {"vocabulary": vocabulary, "rules_per_symbol": rules_per_symbol}
    apart = checks.require(
        "distance", distance, lambda value: (value > 0) & (value <= 1), "in (0, 1]"
    )
    critical = criticality(**numbers, branching=branching)
    if jnp.ndim(critical.noise):
        raise ValueError(
            "vocabulary and rules_per_symbol must be one number each, got arrays of shape "
            f"{critical.noise.shape}"
        )
    if not np.isfinite(critical.noise):
        return np.full(apart.shape, np.nan)
    level = critical.noise * (1 - apart)
    belief = np.asarray(upward(level, **numbers, branching=branching, depth=levels))
    half = (1 + float(critical.belief)) / 2
    rise = [np.interp(half, row, np.arange(levels + 1)) for row in belief.reshape(-1, levels + 1)]
    return branching ** np.reshape(rise, apart.shape)


@backed_by("rhm-duality")
def dual(
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
) -> Float[AnyArray, "*batch"]:
    r"""The number of rules :math:`m' = v^{s-1}/m` of the conjugate map.

    .. math:: F_{m'}(1/(vp)) = 1/(v F_m(p)), \quad\text{with the same slope.}

    Args: vocabulary: as in :func:`upward`, and so the other numbers.
    Raises: as :func:`upward`.
    Source: new. Claim: ``rhm-duality``.
    """
    rules, branching = _checked_rules("dual", vocabulary, rules_per_symbol, branching)
    return rules.vocabulary ** (branching - 1) / rules.per_symbol


@backed_by("rhm-descent", "rhm-sibling-covariance", "rhm-correlations")
def correlations(
    level: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
    depth: int,
) -> Correlations:
    r"""Mean and covariances of "leaf changed" in closed form, at every tree distance.

    Let p be the child's :math:`p_\ell`, and :math:`A_k = \sum_{j<k} p^j`. Let :math:`w` be the
    weight of the true rule under an unchanged parent. A child of a changed parent is changed with
    probability :math:`1/A_s`, a child of an unchanged parent with :math:`(1-w)/A_s`. So each level
    multiplies correlations by :math:`\lambda = w/A_s`, and two siblings have covariance

    .. math:: \left( P_U (1-w)(w - p^s) - P_C\, p^s + P_U P_C\, w^2 \right) / A_s^2 .

    Args:
        level: as in :func:`upward`, and so the other numbers.
        depth: levels of rules, >= 1.

    Raises: as :func:`upward`.
    Accuracy: relative, a few eps times the depth, at any noise.
    Source: new. Claims: ``rhm-descent``, ``rhm-sibling-covariance``, ``rhm-correlations``.
    """
    epsilon, rules, branching = _checked_arguments(
        "correlations", vocabulary, rules_per_symbol, branching, level=level
    )
    depth = checks.whole("depth", depth, least=1)
    found = _correlations(epsilon, rules, branching, *_leaves(epsilon, branching, depth))
    return found._replace(covariance=found.covariance[..., :depth])


@backed_by("rhm-correlations")
def mean_changed(
    level: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
    depth: Int[ArrayLike, "*#batch"],
) -> Float[AnyArray, "*batch"]:
    """Probability that a leaf of a posterior sample differs from the start.

    Args: as :func:`correlations`, but depths broadcast.
    Raises: as :func:`upward`.
    Claim: ``rhm-correlations``.
    """
    epsilon, rules, branching = _checked_arguments(
        "mean_changed", vocabulary, rules_per_symbol, branching, level=level
    )
    leaves = _leaves(epsilon, branching, depth)
    return _correlations(epsilon, rules, branching, *leaves).mean_changed


@backed_by("rhm-correlations", "rhm-small-noise")
def susceptibility(
    level: Float[ArrayLike, "*#batch"],
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
    depth: Int[ArrayLike, "*#batch"],
) -> Float[AnyArray, "*batch"]:
    r""":math:`\chi = 1 + \sum_\ell (s-1) s^{\ell-1} C_\ell/C_0`; its limit, 1, at level 0.

    Args: as :func:`correlations`, but depths broadcast.
    Raises: as :func:`upward`.
    Claims: ``rhm-correlations``, ``rhm-small-noise``.
    """
    epsilon, rules, branching = _checked_arguments(
        "susceptibility", vocabulary, rules_per_symbol, branching, level=level
    )
    leaves = _leaves(epsilon, branching, depth)
    return _correlations(epsilon, rules, branching, *leaves).susceptibility


@backed_by("rhm-free-strings", "rhm-largest-susceptibility", "rhm-peak-growth")
def susceptibility_peak(
    *,
    vocabulary: Float[ArrayLike, "*#batch"],
    rules_per_symbol: Float[ArrayLike, "*#batch"],
    branching: int,
    depth: Int[ArrayLike, "*#batch"],
) -> Peak:
    r"""Height and place of the largest susceptibility over the levels in [0, 1], at finite depths.

    Where the susceptibility diverges, the peak moves to the critical noise as the depth grows. Else
    it does not always: for (v, m, s) = (8, 16, 3) it stays at 0.447 beside a critical noise of
    0.402.

    Args:
        vocabulary: as in :func:`upward`, and so the other numbers.
        depth: >= 1; depths broadcast.

    Returns: the peak. Its place is NaN for m = v^(s-1): then every string is valid, nothing
        correlates, and the height is 1.
    Raises: as :func:`upward`.
    Accuracy: the height to a few eps and :math:`(\epsilon F'(p^*)^{depth})^2`, since the peak at
        the transition narrows like :math:`F'(p^*)^{-depth}` and no float need lie inside. The place
        is a root of the derivative, to about eps times height over curvature. Its derivatives are
        implicit.
    Source: new. Claims: ``rhm-free-strings``, ``rhm-largest-susceptibility``,
    ``rhm-peak-growth``.
    """
    rules, branching = _checked_rules(
        "susceptibility_peak", vocabulary, rules_per_symbol, branching
    )
    capacity, depths = _leaves(rules.vocabulary, branching, depth)
    shape = jnp.broadcast_shapes(rules.vocabulary.shape, depths.shape)
    rules = jax.tree.map(lambda value: jnp.broadcast_to(value, shape), rules)
    place = _peak_place(branching, capacity, depths, rules)
    return _peak_at(place, rules, branching, capacity, depths)


class _Rules(NamedTuple):
    vocabulary: Array
    per_symbol: Array


def _checked_rules(
    owner: str, vocabulary: ArrayLike, rules_per_symbol: ArrayLike, branching: int
) -> tuple[_Rules, int]:
    """The checked numbers of a grammar; traced values out of range become NaN."""
    branching = checks.whole("branching", branching, least=2)
    values = checks.broadcast(owner, vocabulary=vocabulary, rules_per_symbol=rules_per_symbol)
    rules = _Rules(values["vocabulary"], values["rules_per_symbol"])
    _require_rules(rules, branching)
    return _valid(rules, branching, None), branching


def _checked_arguments(
    owner: str,
    vocabulary: ArrayLike,
    rules_per_symbol: ArrayLike,
    branching: int,
    **probability: ArrayLike,
) -> tuple[Array, _Rules, int]:
    """As :func:`_checked_rules`, with one ``probability`` of the same dtype and shape before."""
    branching = checks.whole("branching", branching, least=2)
    values = checks.broadcast(
        owner, vocabulary=vocabulary, rules_per_symbol=rules_per_symbol, **probability
    )
    rules = _Rules(values["vocabulary"], values["rules_per_symbol"])
    _require_rules(rules, branching)
    (name,) = probability
    checks.require(name, values[name], lambda x: (x >= 0) & (x <= 1), "between 0 and 1")
    return values[name], _valid(rules, branching, values[name]), branching


def _require_rules(rules: _Rules, branching: int) -> None:
    """``ValueError`` that names the number of the grammar which is out of range."""
    vocabulary, per_symbol = rules
    checks.require(
        "vocabulary", vocabulary, lambda v: (v >= 2) & (v < float("inf")), "finite and >= 2"
    )
    checks.require("rules_per_symbol", per_symbol, lambda m: m >= 1, ">= 1")
    # The map has v^s in it.
    power = (
        "such that vocabulary^branching is below the largest "
        f"{vocabulary.dtype} (branching = {branching})"
    )
    checks.require(
        "vocabulary",
        vocabulary,
        lambda v: branching * np.log(v) < np.log(np.finfo(v.dtype).max),
        power,
    )
    most = _most_rules(vocabulary, branching)
    checks.at_most("rules_per_symbol", per_symbol, "vocabulary^(branching - 1)", most)


@functools.partial(jax.jit, static_argnums=1)
def _most_rules(vocabulary: Array, branching: int) -> Array:
    # Four eps more: a power of the vocabulary need not be correctly rounded.
    return vocabulary ** (branching - 1) * (1 + 4 * jnp.finfo(vocabulary.dtype).eps)


@functools.partial(jax.jit, static_argnums=1)
def _valid(rules: _Rules, branching: int, probability: Array | None) -> _Rules:
    """The rules, NaN where they or the probability are out of range: traced ones are unchecked."""
    valid = (
        (rules.vocabulary >= 2)
        & (rules.per_symbol >= 1)
        & (rules.per_symbol <= _most_rules(rules.vocabulary, branching))
    )
    if probability is not None:
        valid &= (probability >= 0) & (probability <= 1)
    return jax.tree.map(lambda value: jnp.where(valid, value, jnp.nan), rules)


def _capacity(depth: ArrayLike, *, least: int = 1) -> tuple[int, np.ndarray]:
    """Levels to compile for, and the depths.

    A few capacities serve all depths, so that finite-size scaling compiles once.
    """
    if checks.is_traced(depth):
        raise TypeError("depth must be concrete: it says for how many levels to compile")
    depths = np.asarray(depth)
    if depths.dtype.kind not in "iu":
        raise TypeError(f"depth must be an integer or an array of them, got {depth!r}")
    if not depths.size or np.any(depths < least):
        raise ValueError(f"depth must be >= {least}, got {depths.min() if depths.size else 'none'}")
    return 8 * max(1, -(-int(depths.max()) // 8)), depths.astype(np.int32)


def _leaves(others: Array, branching: int, depth: ArrayLike) -> tuple[int, np.ndarray]:
    """:func:`_capacity` of depths that broadcast against ``others``.

    The number of leaves must be in the range of the dtype of ``others``.
    """
    capacity, depths = _capacity(depth)
    checks.common_shape(arguments=others.shape, depth=depths.shape)
    if capacity * np.log(branching) >= np.log(np.finfo(others.dtype).max):
        raise ValueError(
            "depth must be such that branching^depth leaves are in the range of "
            f"{others.dtype}, got {depths.max()}"
        )
    return capacity, depths


def _geometric(ratio: Array, terms: int) -> Array:
    """``sum_{k < terms} ratio^k``, of positive terms."""
    total = jnp.zeros_like(ratio)
    for _ in range(terms):
        total = 1 + ratio * total
    return total


def _denominator(belief: Array, rules: _Rules, branching: int) -> Array:
    v, m = rules
    return (v**branching - m * v) * belief**branching + (m * v - 1)


@functools.partial(jax.jit, static_argnums=2)
def _step(changed: Array, rules: _Rules, branching: int) -> Array:
    """``1 - F(1 - changed)``, in which nothing cancels: ``m (v-1) (1 - p^s) / denominator``."""
    belief = 1 - changed
    v, m = rules
    return changed * (
        m * (v - 1) * _geometric(belief, branching) / _denominator(belief, rules, branching)
    )


@functools.partial(jax.jit, static_argnums=2)
def _slope(belief: Array, rules: _Rules, branching: int) -> Array:
    v, m = rules
    below = _denominator(belief, rules, branching)
    # Two quotients: the square of the denominator overflows float32 for long rules.
    return (branching * m * (v - 1) * belief ** (branching - 1) / below) * (
        (v**branching - 1) / below
    )


@functools.partial(jax.jit, static_argnums=(2, 3))
def _changed(
    noise: Array, rules: _Rules, branching: int, capacity: int, depth: Array
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
def _correlations(
    noise: Array, rules: _Rules, branching: int, capacity: int, depth: Array
) -> Correlations:
    """:class:`Correlations` with zeros above the depth."""
    changed, ratios = (
        jnp.moveaxis(array, -1, 0) for array in _changed(noise, rules, branching, capacity, depth)
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
def _fixed_points(rules: _Rules, branching: int) -> FixedPoints:
    v = rules.vocabulary
    lost = 1 / v
    recovered = jnp.where(jnp.isnan(v), v, 1)
    exists = (_slope(lost, rules, branching) < 1) & (_slope(recovered, rules, branching) < 1)
    # A number that is inside in any case, so that the derivatives of the unused branch are finite:
    # m^2 = v^(s-1) has p* = v^(-1/2).
    safe = _Rules(v, jnp.where(exists, rules.per_symbol, v ** ((branching - 1) / 2)))
    return FixedPoints(
        lost=lost,
        interior=jnp.where(exists, _interior_root(branching, safe), jnp.nan),
        recovered=recovered,
        exists=exists,
    )


@functools.partial(jax.jit, static_argnums=1)
def _criticality(rules: _Rules, branching: int) -> Criticality:
    belief = _fixed_points(rules, branching).interior
    ascent = _slope(belief, rules, branching)
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


def _interior_equation(belief: Array, rules: _Rules, branching: int) -> Array:
    """``sum_{k<s} (v^k - m) p^k``: one change of sign of its coefficients, so one positive root."""
    return _geometric(rules.vocabulary * belief, branching) - rules.per_symbol * _geometric(
        belief, branching
    )


def _interior_root(branching: int, rules: _Rules) -> Array:
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
    noise: Array, rules: _Rules, depth: Array, branching: int, capacity: int
) -> Array:
    def chi(place):
        return _correlations(place, rules, branching, capacity, depth).susceptibility

    return jax.jvp(chi, (noise,), (jnp.ones_like(noise),))[1]


def _peak_place(branching: int, capacity: int, depth: np.ndarray, rules: _Rules) -> Array:
    """The place of the peak, with its implicit derivatives in ``rules``."""
    depth, fixed = jax.lax.stop_gradient((depth, rules))
    slope_at = functools.partial(_susceptibility_slope, branching=branching, capacity=capacity)
    place = _highest_place(branching, capacity, depth, fixed)
    return implicit_root(slope_at, place, rules, depth)


@functools.partial(jax.jit, static_argnums=(2, 3))
def _peak_at(place: Array, rules: _Rules, branching: int, capacity: int, depth: Array) -> Peak:
    height = _correlations(place, rules, branching, capacity, depth).susceptibility
    flat = rules.per_symbol >= rules.vocabulary ** (branching - 1)
    return Peak(noise=jnp.where(flat, jnp.nan, place), height=height)


@functools.partial(jax.jit, static_argnums=(0, 1))
def _highest_place(branching: int, capacity: int, depth: Array, rules: _Rules) -> Array:
    """The best of a grid, then bisection of the slope between its neighbours.

    An end of [0, 1] if that is the best.
    """
    grid = jnp.linspace(0, 1, 257, dtype=rules.vocabulary.dtype)
    spread = grid.reshape(-1, *[1] * rules.vocabulary.ndim)
    best = jnp.argmax(_correlations(spread, rules, branching, capacity, depth).susceptibility, 0)

    def beyond(noise):
        return ~(_susceptibility_slope(noise, rules, depth, branching, capacity) > 0)

    low = grid[jnp.maximum(best - 1, 0)]
    high = grid[jnp.minimum(best + 1, 256)]
    ends = roots.bisect(beyond, low, high, jnp.finfo(grid.dtype).nmant - 6)
    return jnp.where(jnp.isnan(rules.vocabulary), jnp.nan, (ends.low + ends.high) / 2)
