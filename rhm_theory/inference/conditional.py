r"""Moments of the number N of changed leaves, given the symbols of one level of the tree.

Fix the symbols of all nodes of level l. Then the subtrees below these nodes are independent. So N
is a sum of independent numbers, and

.. math:: E[\operatorname{Var}(N \mid \text{level } \ell)] = \sum_{u \in \ell} \sum_a P_u(a) V_u(a),
          \qquad V_u(a) = \operatorname{Var}(N_u \mid \text{symbol } a).

P are the posteriors of the nodes. The variances of the single leaves need the expected change
:math:`e_i(a)` of leaf i given the symbol of the node above:
:math:`\sum_i \operatorname{Var}(n_i \mid a) = \sum_i e_i(a) (1 - e_i(a))`.

At the root's level this is the susceptibility among trajectories of one class. Samples give the
same number by :mod:`rhm_theory.experiment.within`.

Source: new.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.inference import evidence
from rhm_theory.models.grammar import Grammar, Tree
from theory_common import checks
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable()
class ConditionalMoments(NamedTuple):
    """Variances given the symbols of one level. The last axis is the level 1, 2, .. depth.

    For a susceptibility over several starts, sum ``variance`` and ``leaf_variance`` over them
    before the ratio.

    Attributes:
        variance: E[Var(N | symbols of the level)], over the posterior of these symbols.
        leaf_variance: the same of the single leaves, summed over the leaves.
        kept_variance: Var(N | no node of the level changed).
        kept_leaf_variance: the same of the single leaves, summed over the leaves.
    """

    variance: Float[AnyArray, "*batch depth"]
    leaf_variance: Float[AnyArray, "*batch depth"]
    kept_variance: Float[AnyArray, "*batch depth"]
    kept_leaf_variance: Float[AnyArray, "*batch depth"]

    @property
    def susceptibility(self) -> Float[AnyArray, "*batch depth"]:
        """Chi within a group, where trajectories with the same symbols of a level are a group."""
        return self.variance / self.leaf_variance


@backed_by("rhm-within-levels")
def conditional_moments(
    grammar: Grammar,
    likelihood: Float[ArrayLike, "*#batch length vocabulary"],
    start: Int[ArrayLike, "*#batch length"] | Tree,
) -> ConditionalMoments:
    """Exact variances of the changes, given the symbols of each level of the tree.

    Args:
        grammar: the rules.
        likelihood: of every leaf and symbol, finite and >= 0.
        start: the sequence before the noise, one of the language.

    Raises: ``TypeError`` or ``ValueError`` that names the argument. ``ValueError`` for impossible
        evidence; traced, it gives NaN.
    Time: depth x length x vocabulary x rules for each entry of the batch. It works under jit, vmap
        and grad.
    Claim: ``rhm-within-levels``.
    """
    likelihood = evidence.checked(grammar, likelihood)
    tree = start if isinstance(start, Tree) else grammar.parse(grammar.sequences("start", start))
    batch = checks.common_shape(likelihood=likelihood.shape[:-2], start=tree.leaves.shape[:-1])
    posteriors = evidence.marginals(
        grammar, jnp.broadcast_to(likelihood, (*batch, *likelihood.shape[-2:]))
    )
    symbols = [jnp.broadcast_to(level, (*batch, level.shape[-1])) for level in tree.symbols]
    return _conditional_moments(grammar, likelihood, tuple(symbols), posteriors)


@jax.jit
def _conditional_moments(
    grammar: Grammar, likelihood: Array, symbols: tuple[Array, ...], posteriors: tuple[Array, ...]
) -> ConditionalMoments:
    differs = symbols[0][..., None] != jnp.arange(grammar.vocabulary)
    below = _Node(
        message=jnp.broadcast_to(likelihood, posteriors[0].shape),
        variance=jnp.zeros_like(posteriors[0]),
        expected=differs.astype(likelihood.dtype)[..., None],
    )
    found = []
    for rules, nodes, posterior in zip(grammar.rules, symbols[1:], posteriors[1:], strict=True):
        below = _parents(rules, below)
        leaf_variance = (below.expected * (1 - below.expected)).sum(-1)
        kept = nodes[..., None] == jnp.arange(grammar.vocabulary)
        found.append(
            ConditionalMoments(
                variance=(posterior * below.variance).sum((-1, -2)),
                leaf_variance=(posterior * leaf_variance).sum((-1, -2)),
                kept_variance=(kept * below.variance).sum((-1, -2)),
                kept_leaf_variance=(kept * leaf_variance).sum((-1, -2)),
            )
        )
    return jax.tree.map(lambda *levels: jnp.stack(levels, -1), *found)


class _Node(NamedTuple):
    """For each node and symbol: its likelihood up to a factor, Var N, and each leaf's change."""

    message: Float[Array, "*batch nodes vocabulary"]
    variance: Float[Array, "*batch nodes vocabulary"]
    expected: Float[Array, "*batch nodes vocabulary leaves"]


def _parents(rules: Int[Array, "vocabulary rules branching"], below: _Node) -> _Node:
    """One level up: the children of each rule are independent, and the rules are mixed."""
    branching = rules.shape[-1]
    nodes = below.message.shape[-2] // branching

    def children(values: Array, position: int) -> Array:
        """[*batch, parent, symbol, rule, ...]: the values of one child, by its parent's rule."""
        axis = below.message.ndim - 2
        apart = values.reshape(*values.shape[:axis], nodes, branching, *values.shape[axis + 1 :])
        child = jax.lax.index_in_dim(apart, position, axis + 1, keepdims=False)
        return jnp.take(child, rules[..., position], axis + 1)

    places = range(branching)
    weights = jnp.stack([children(below.message, place) for place in places]).prod(0)
    message = weights.sum(-1)
    weights = weights / jnp.where(message > 0, message, 1)[..., None]
    largest = message.max(-1, keepdims=True)
    leaves = jnp.concatenate([children(below.expected, place) for place in places], -1)
    mean = leaves.sum(-1)
    own = sum(children(below.variance, place) for place in places)
    centre = (weights * mean).sum(-1, keepdims=True)
    return _Node(
        message=message / jnp.where(largest > 0, largest, 1),
        variance=(weights * (own + (mean - centre) ** 2)).sum(-1),
        expected=(weights[..., None] * leaves).sum(-2),
    )
