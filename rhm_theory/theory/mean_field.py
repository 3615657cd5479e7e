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

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.theory.maps import (
    Correlations,
    Criticality,
    FixedPoints,
    Peak,
    changed_at,
    correlations_at,
    criticality_of,
    fixed_points_of,
    peak_at,
    peak_place,
    slope_of,
    step_of,
)
from rhm_theory.theory.rules import (
    capacity_of,
    checked_arguments,
    checked_rules,
    leaves_of,
)
from theory_common import checks
from theory_common.claims import backed_by

__all__ = [
    "Correlations",
    "Criticality",
    "FixedPoints",
    "Peak",
    "correlated_size",
    "correlations",
    "critical_noise",
    "criticality",
    "dual",
    "exponent",
    "fixed_points",
    "mean_changed",
    "slope",
    "step",
    "susceptibility",
    "susceptibility_peak",
    "upward",
]


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
    epsilon, rules, branching = checked_arguments(
        "upward", vocabulary, rules_per_symbol, branching, level=level
    )
    depth = checks.whole("depth", depth)
    return (
        1 - changed_at(epsilon, rules, branching, *capacity_of(depth, least=0))[0][..., : depth + 1]
    )


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
    p, rules, branching = checked_arguments(
        "step", vocabulary, rules_per_symbol, branching, belief=belief
    )
    return 1 - step_of(1 - p, rules, branching)


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
    p, rules, branching = checked_arguments(
        "slope", vocabulary, rules_per_symbol, branching, belief=belief
    )
    return slope_of(p, rules, branching)


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
    rules, branching = checked_rules("fixed_points", vocabulary, rules_per_symbol, branching)
    return fixed_points_of(rules, branching)


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
    rules, branching = checked_rules("criticality", vocabulary, rules_per_symbol, branching)
    return criticality_of(rules, branching)


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
    rules, branching = checked_rules("dual", vocabulary, rules_per_symbol, branching)
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
    epsilon, rules, branching = checked_arguments(
        "correlations", vocabulary, rules_per_symbol, branching, level=level
    )
    depth = checks.whole("depth", depth, least=1)
    found = correlations_at(epsilon, rules, branching, *leaves_of(epsilon, branching, depth))
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
    epsilon, rules, branching = checked_arguments(
        "mean_changed", vocabulary, rules_per_symbol, branching, level=level
    )
    leaves = leaves_of(epsilon, branching, depth)
    return correlations_at(epsilon, rules, branching, *leaves).mean_changed


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
    epsilon, rules, branching = checked_arguments(
        "susceptibility", vocabulary, rules_per_symbol, branching, level=level
    )
    leaves = leaves_of(epsilon, branching, depth)
    return correlations_at(epsilon, rules, branching, *leaves).susceptibility


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
    rules, branching = checked_rules("susceptibility_peak", vocabulary, rules_per_symbol, branching)
    capacity, depths = leaves_of(rules.vocabulary, branching, depth)
    shape = jnp.broadcast_shapes(rules.vocabulary.shape, depths.shape)
    rules = jax.tree.map(lambda value: jnp.broadcast_to(value, shape), rules)
    place = peak_place(branching, capacity, depths, rules)
    return peak_at(place, rules, branching, capacity, depths)
