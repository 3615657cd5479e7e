r"""Exact inference: the log evidence, and what are its derivatives.

.. math:: Z = \frac1v \sum_{\text{trees}} m^{-(s^L-1)/(s-1)} \prod_i \pi_i(x_i), \qquad
          P(x_i = x \mid \text{evidence}) = \pi_i(x)\, \frac{\partial \ln Z}{\partial \pi_i(x)}.

A likelihood is ``(*batch, length, vocabulary)``, finite and not negative, as :mod:`rhm_theory.noise.likelihood` makes it. The grammar is one for
the whole batch; ``jax.vmap`` serves many grammars of one shape. Zeros in the likelihood are exact, in all derivatives too.

*Impossible* evidence (no sequence of the language has a positive likelihood) has log evidence -inf, inside jit too, and
:func:`impossible_at` tells where in the tree. So has, in linear arithmetic, evidence that contradicts itself beyond the range of the
floats: in float64 by a factor of about 1e-38 at each of eight neighbouring nodes, in float32 by 1e-19 at each of two (branching 2).
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from rhm_theory.inference import messages
from rhm_theory.models.grammar import Grammar, require_grammar
from theory_common import checks
from theory_common.batching.blocks import in_blocks
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable()
class Place(NamedTuple):
    """A node: its level (leaves 0) and its number from the left, from 0; -1 where there is none."""

    level: Int[Array, "*batch"]
    node: Int[Array, "*batch"]


@backed_by("rhm-evidence")
def log_evidence(
    grammar: Grammar, likelihood: Float[Array, "*batch length vocabulary"]
) -> Float[Array, "*batch"]:
    r"""Log probability of what was seen, :math:`\ln Z`, with the :math:`1/m` of every rule and the :math:`1/v` of the root.

    Derivatives of all orders, forward and reverse. The first is the downward pass.

    Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``, if it is negative, not finite, or does not fit the grammar.
    Traced, NaN for an entry of the batch that is negative or not finite somewhere. Impossible evidence: -inf, and its derivatives are 0,
    which they are for every change that leaves it impossible (one that does not is a jump from -inf).
    Accuracy: relative error of Z about ``length`` rounding errors, as nothing is subtracted. Claim: ``rhm-evidence``.
    """
    likelihood = fitting(grammar, likelihood)
    found = _log_evidence(grammar, likelihood)
    # The pass itself sees what is no likelihood, and only then is the offender looked for.
    if checks.is_traced(found) or np.isnan(found).any():
        checked(grammar, likelihood)
    return found


@backed_by("rhm-evidence")
def marginals(
    grammar: Grammar, likelihood: Float[Array, "*batch length vocabulary"]
) -> tuple[Float[Array, "*batch nodes vocabulary"], ...]:
    """Posterior probability of every symbol at every node: one array ``(*batch, nodes, vocabulary)`` a level, leaves first.

    Raises: as :func:`log_evidence`, and ``ValueError`` that names the node where the evidence is impossible; traced, such an entry of the
    batch is NaN.
    Accuracy: relative, about ``length`` rounding errors. Claim: ``rhm-evidence``.
    """
    likelihood = checked(grammar, likelihood)
    found = _marginals(grammar, likelihood)
    if not checks.is_traced(found[-1]):
        require_possible(grammar, likelihood, np.isfinite(found[-1]).all((-1, -2)))
    return found


def impossible_at(grammar: Grammar, likelihood: Float[Array, "*batch length vocabulary"]) -> Place:
    """Where no symbol is possible any more: the leftmost such node of the lowest level that has one; -1 where the evidence is possible.

    It asks only which entries are positive, so it knows no underflow.
    """
    return _impossible_at(grammar, checked(grammar, likelihood))


def require_possible(
    grammar: Grammar, likelihood: Float[Array, "*batch length vocabulary"], possible
) -> None:
    """``ValueError`` that names the first entry of the batch that is not ``possible``, and the node."""
    bad = np.argwhere(~np.asarray(possible))
    if not len(bad):
        return
    batch = tuple(bad[0].tolist())
    index = f" at index {batch}" if batch else ""
    level, node = (int(value) for value in _impossible_at(grammar, likelihood[batch]))
    if level < 0:
        raise ValueError(
            f"likelihood{index} contradicts itself beyond the range of {likelihood.dtype}: its evidence underflows to 0"
        )
    raise ValueError(
        f"likelihood{index} is impossible: no symbol is left for node {node} of level {level}"
    )


def fitting(grammar: Grammar, likelihood) -> Float[Array, "*batch length vocabulary"]:
    """``likelihood`` in the working dtype, of the grammar's length and vocabulary."""
    require_grammar(grammar)
    likelihood = checks.real("likelihood", likelihood)
    expected = (grammar.length, grammar.vocabulary)
    if likelihood.shape[-2:] != expected:
        raise ValueError(
            f"likelihood must end in the axes (length, vocabulary) = {expected}, got shape {likelihood.shape}"
        )
    return likelihood


def checked(grammar: Grammar, likelihood) -> Float[Array, "*batch length vocabulary"]:
    """The :func:`fitting` likelihood, finite and not negative unless it is traced."""
    likelihood = fitting(grammar, likelihood)
    # All at once on the device: only to name an offender is it worth the way to NumPy.
    if not checks.is_traced(likelihood):
        with (
            jax.ensure_compile_time_eval()
        ):  # a constant in a function that is being traced is known too
            valid = bool(_valid(likelihood))
        if not valid:
            checks.nonnegative("likelihood", likelihood)
    return likelihood


@jax.jit
def _valid(likelihood):
    # By rows first, which is twice as fast as all at once; NaN passes through both, and fails both comparisons.
    return (likelihood.min(-1).min(initial=0) >= 0) & (likelihood.max(-1).max(initial=0) < jnp.inf)


def _batch_as_one(function):
    """``function`` of a likelihood with any batch axes, by one with exactly one."""

    @functools.wraps(function)
    def flattened(grammar, likelihood):
        *batch, length, vocabulary = likelihood.shape
        found = function(grammar, likelihood.reshape(math.prod(batch), length, vocabulary))
        return jax.tree.map(lambda value: value.reshape(*batch, *value.shape[1:]), found)

    return flattened


@jax.jit
@_batch_as_one
def _log_evidence(grammar, likelihood):
    constant = math.log(grammar.vocabulary) + grammar.inner_nodes * math.log(
        grammar.rules_per_symbol
    )
    return _log_sum(grammar.rules, likelihood) - constant


@jax.custom_jvp
def _log_sum(rules, likelihood: Float[Array, "batch length vocabulary"]) -> Float[Array, " batch"]:
    """The log of the sum over all trees, all of weight 1."""
    low = messages.levels_in_cache(rules)
    roots, log_scale = _subtree_roots(rules[:low], likelihood)
    if low < len(rules):
        return _log_sum(rules[low:], roots) + log_scale.sum(-1)
    return _log_total(roots[:, 0], log_scale[:, 0])


@_log_sum.defjvp
def _log_sum_jvp(primals, tangents):
    # The tangent is linear in that of the likelihood, so reverse mode transposes it; its coefficients are plain code, so both modes go on.
    log_sum, gradient = _gradient(*primals)
    return log_sum, jnp.sum(gradient * tangents[1], (-1, -2))


def _log_total(
    root: Float[Array, "batch vocabulary"], log_scale: Float[Array, " batch"]
) -> Float[Array, " batch"]:
    total = root.sum(-1)
    return jnp.where(total == 0, -jnp.inf, jnp.log(jnp.where(total == 0, 1, total)) + log_scale)


def _gradient(
    rules, likelihood, *, impossible=0.0
) -> tuple[Float[Array, " batch"], Float[Array, "batch length vocabulary"]]:
    """:func:`_log_sum` and its derivative, which is ``impossible`` where that is -infinity."""
    return up_and_down(
        rules,
        lambda passed, below: messages.restored(
            below[0], 1 / passed.divisors[0][None], rules.shape[-1]
        ),
        likelihood,
        impossible=impossible,
    )


@jax.jit
@_batch_as_one
def _marginals(grammar, likelihood):
    return _posteriors(grammar.rules, likelihood)


def _posteriors(rules, likelihood) -> tuple[Float[Array, "batch nodes vocabulary"], ...]:
    def levels(passed, below):
        return [
            messages.restored(up, down, rules.shape[-1])
            for up, down in zip(passed.messages, below, strict=True)
        ]

    found = up_and_down(rules, levels, likelihood, impossible=jnp.nan)[1]
    low = messages.levels_in_cache(rules)
    if low < len(rules):
        found = [*found[:-1], *_posteriors(rules[low:], _subtree_roots(rules[:low], likelihood)[0])]
    return tuple(found)


# --- trees of any depth: the roots of subtrees that a core's cache holds are the leaves of a smaller tree


def up_and_down(
    rules, finish, likelihood: Float[Array, "batch length vocabulary"], *rows, impossible=0.0
):
    """The log of the sum over all trees, and ``finish(upward, downward, *rows)`` of the two passes over the lowest levels.

    These levels are subtrees, a block of them at a time (:func:`messages.levels_in_cache`); ``finish`` gets the part of ``rows``
    (``(batch, length, ...)`` each) that belongs to them, and its arrays ``(subtrees, nodes, ...)`` come back as ``(batch, nodes, ...)``.
    ``impossible`` is the derivative of an impossible sum.
    """

    def passes(likelihood, root, *rows):
        passed = messages.upward(rules[:low], likelihood)
        if root is None:
            total = passed.messages[-1].sum(0)
            root = jnp.where(total == 0, impossible, 1 / jnp.where(total == 0, 1, total))[None]
            root = jnp.broadcast_to(root, passed.messages[-1].shape)
        else:
            root = root.T[:, None]
        below = messages.downward(rules[:low], passed, root)
        return _log_total(passed.messages[-1][:, 0].T, passed.log_scale), finish(
            passed, below, *rows
        )

    low, root = messages.levels_in_cache(rules), None
    if low < len(rules):
        roots, log_scale = _subtree_roots(rules[:low], likelihood)
        log_sum, root = _gradient(rules[low:], roots, impossible=impossible)
        root, log_sum = (
            root.reshape(root.shape[0] * root.shape[1], root.shape[2]),
            log_sum + log_scale.sum(-1),
        )
    parts = [subtrees(rules[:low], array) for array in (likelihood, *rows)]
    alone, found = in_blocks(passes, 2 * block_of_subtrees(rules[:low]), parts[0], root, *parts[1:])
    return alone if root is None else log_sum, jax.tree.map(
        functools.partial(of_trees, rules.shape[-1] ** (len(rules) - low)), found
    )


def subtrees(rules, array: Float[Array, "batch length ..."]) -> Float[Array, "subtrees leaves ..."]:
    """The leaves of each subtree of so many levels as rules have."""
    leaves = rules.shape[-1] ** len(rules)
    return array.reshape(array.shape[0] * (array.shape[1] // leaves), leaves, *array.shape[2:])


def of_trees(
    count: int, rows: Float[Array, "subtrees nodes ..."]
) -> Float[Array, "batch nodes ..."]:
    """The inverse: side by side what belongs to the ``count`` subtrees of a tree."""
    return rows.reshape(rows.shape[0] // count, count * rows.shape[1], *rows.shape[2:])


def block_of_subtrees(rules) -> int:
    """How many of them are best passed at once."""
    return messages.batch_in_cache(rules.shape[1] * rules.shape[-1] ** len(rules))


def _subtree_roots(
    rules, likelihood
) -> tuple[Float[Array, "batch subtrees vocabulary"], Float[Array, "batch subtrees"]]:
    """The upward message at the root of each subtree, and the log of what it was divided by."""

    def climb(likelihood):
        passed = messages.upward(rules, likelihood)
        return passed.messages[-1].T, passed.log_scale[:, None]

    roots, log_scale = in_blocks(climb, block_of_subtrees(rules), subtrees(rules, likelihood))
    count = likelihood.shape[1] // rules.shape[-1] ** len(rules)
    return of_trees(count, roots), of_trees(count, log_scale)


@jax.jit
@_batch_as_one
def _impossible_at(grammar, likelihood):
    possible = likelihood > 0
    place = Place(*(jnp.full(len(likelihood), -1, jnp.int32),) * 2)
    for level in range(grammar.depth + 1):
        dead = ~possible.any(-1)
        new = dead.any(-1) & (place.level < 0)
        place = Place(
            jnp.where(new, level, place.level),
            jnp.where(new, dead.argmax(-1).astype(jnp.int32), place.node),
        )
        if level < grammar.depth:
            children = possible.reshape(
                len(likelihood), grammar.nodes(level + 1), grammar.branching, grammar.vocabulary
            )
            possible = _derivable(grammar.rules[level], children)
    return place


def _derivable(table, children):
    """Which symbols of the parents have a rule whose children are all possible."""

    def add(found, rule):
        return found | functools.reduce(
            jnp.logical_and, (children[:, :, i][..., rule[:, i]] for i in range(rule.shape[-1]))
        ), None

    return jax.lax.scan(add, jnp.zeros_like(children[:, :, 0]), table.swapaxes(0, 1))[0]
