r"""Exact inference: the log evidence, and the marginals, which are its derivatives.

For a grammar

.. math:: Z = \frac1v \sum_{\text{trees}} m^{-(s^L-1)/(s-1)} \prod_i \pi_i(x_i), \qquad
          P(x_i = x \mid \text{evidence}) = \pi_i(x)\, \frac{\partial \ln Z}{\partial \pi_i(x)}.

A likelihood is ``(*batch, length, vocabulary)``, finite and not negative, as a noise object makes
it. The grammar is one for the whole batch; ``jax.vmap`` serves many grammars of one shape. Zeros in
the likelihood are exact, in all derivatives too.

Evidence is *impossible* if no sequence of the language has a positive likelihood. Its log evidence
is -inf, inside jit too, and :func:`impossible_at` tells where in the tree. Products are computed
directly and not as sums of logarithms. So evidence whose likelihood underflows also has log
evidence -inf. This is rare. With branching 2 it takes a factor of about 1e-38 at each of eight
neighbouring nodes in float64. In float32 it takes a factor of 1e-19 at each of two.
"""

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.inference import messages
from rhm_theory.models import interface
from rhm_theory.models.grammar import Grammar, require_grammar
from theory_common import checks
from theory_common.batching.blocks import in_blocks
from theory_common.claims import backed_by
from theory_common.printing.display import readable


@readable()
class Place(NamedTuple):
    """A node: its ``level`` (leaves 0) and its number ``node`` from the left, from 0.

    Both are -1 where there is none.
    """

    level: Int[Array, "*batch"]
    node: Int[Array, "*batch"]


@backed_by("rhm-evidence")
def log_evidence(
    model: Grammar | interface.SequenceModel,
    likelihood: Float[ArrayLike, "*batch length vocabulary"],
) -> Float[Array, "*batch"]:
    r"""Log probability of the evidence (what was seen), :math:`\ln Z`.

    For a grammar it includes the factor :math:`1/m` of every rule and :math:`1/v` of the root. It
    has derivatives of all orders, in forward and reverse mode. The first derivative is the downward
    pass.

    Args:
        model: a :class:`rhm_theory.Grammar`, or any model with a method ``log_evidence``.
        likelihood: of every leaf and symbol, finite and >= 0.

    Returns: one number for each entry of the batch. Impossible evidence gives -inf with derivatives
        0. They are 0 for every change that leaves the evidence impossible.
    Raises: ``TypeError`` or ``ValueError`` that names ``likelihood``, if it is negative, not
        finite, or does not fit the grammar. Traced: NaN for an entry of the batch that is negative
        or not finite somewhere.
    Accuracy: relative error of Z about ``length`` rounding errors, as nothing is subtracted.
    Claim: ``rhm-evidence``.
    """
    if not isinstance(model, Grammar):
        return interface.verb(model, "log_evidence")(likelihood)
    likelihood = fitting(model, likelihood)
    found = _log_evidence(model, likelihood)
    # The pass itself sees what is no likelihood, and only then is the offender looked for.
    if checks.is_traced(found) or np.isnan(found).any():
        checked(model, likelihood)
    return found


@backed_by("rhm-evidence")
def marginals(
    model: Grammar | interface.SequenceModel,
    likelihood: Float[ArrayLike, "*batch length vocabulary"],
) -> tuple[Float[Array, "*batch _nodes vocabulary"], ...]:
    """Posterior probability of every symbol at every node.

    Args:
        model: a :class:`rhm_theory.Grammar`, or any model with a method ``marginals``.
        likelihood: of every leaf and symbol, finite and >= 0.

    Returns: for a grammar one array ``(*batch, nodes, vocabulary)`` a level, leaves first. Other
        models return what their method does, a chain one array ``(*batch, length, vocabulary)``.
    Raises: as :func:`log_evidence`, and ``ValueError`` that names the node where the evidence is
        impossible. Traced: all of such an entry of the batch is NaN.
    Accuracy: relative, about ``length`` rounding errors.
    Claim: ``rhm-evidence``.
    """
    if not isinstance(model, Grammar):
        return interface.verb(model, "marginals")(likelihood)
    likelihood = checked(model, likelihood)
    found = _marginals(model, likelihood)
    if not checks.is_traced(found[-1]):
        require_possible(model, likelihood, np.isfinite(found[-1]).all((-1, -2)))
    return found


def impossible_at(
    grammar: Grammar, likelihood: Float[ArrayLike, "*batch length vocabulary"]
) -> Place:
    """The node where no symbol is possible: the leftmost one of the lowest level that has one.

    It uses only which entries are positive, so underflow does not affect it.

    Args:
        grammar: the rules.
        likelihood: of every leaf and symbol, finite and >= 0.

    Returns: the node for each entry of the batch; -1 where the evidence is possible.
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    return _impossible_at(grammar, checked(grammar, likelihood))


def require_possible(
    grammar: Grammar, likelihood: Float[Array, "*batch length vocabulary"], possible
) -> None:
    """``ValueError`` for the first entry of the batch that is not ``possible``, with its node."""
    bad = np.argwhere(~np.asarray(possible))
    if not len(bad):
        return
    batch = tuple(bad[0].tolist())
    index = f" at index {batch}" if batch else ""
    level, node = (int(value) for value in _impossible_at(grammar, likelihood[batch]))
    if level < 0:
        raise ValueError(
            f"likelihood{index} contradicts itself beyond the range of {likelihood.dtype}: "
            "its evidence underflows to 0"
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
            f"likelihood must end in the axes (length, vocabulary) = {expected}, "
            f"got shape {likelihood.shape}"
        )
    return likelihood


def checked(grammar: Grammar, likelihood) -> Float[Array, "*batch length vocabulary"]:
    """The :func:`fitting` likelihood, finite and not negative unless it is traced."""
    likelihood = fitting(grammar, likelihood)
    # All at once on the device; the way to NumPy is only worth it to name an offender.
    if not checks.is_traced(likelihood):
        # A constant in a function that is being traced is known too.
        with jax.ensure_compile_time_eval():
            valid = bool(_is_likelihood(likelihood))
        if not valid:
            checks.nonnegative("likelihood", likelihood)
    return likelihood


@jax.jit
def _is_likelihood(likelihood):
    # By rows first, which is twice as fast as all at once. NaN passes through both and fails both
    # comparisons.
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
    # The tangent is linear in that of the likelihood, so reverse mode transposes it. Its
    # coefficients are plain code, so both modes can differentiate again.
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

    def by_leaves(passed, below):
        return messages.restored(below[0], 1 / passed.divisors[0][None], rules.shape[-1])

    return up_and_down(rules, by_leaves, likelihood, impossible=impossible)


@jax.jit
@_batch_as_one
def _marginals(grammar, likelihood):
    return _posteriors(grammar.rules, likelihood)


def _posteriors(rules, likelihood) -> tuple[Float[Array, "batch _nodes vocabulary"], ...]:
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


# --- trees of any depth. A core's cache holds subtrees, whose roots are leaves of a smaller tree.


def up_and_down(
    rules, finish, likelihood: Float[Array, "batch length vocabulary"], *rows, impossible=0.0
):
    """The log of the sum over all trees, and ``finish`` of the two passes over the lowest levels.

    These levels are subtrees, taken a block at a time (:func:`messages.levels_in_cache`).

    Args:
        finish: called as ``finish(upward, downward, *rows)``. Its arrays ``(subtrees, nodes, ...)``
            come back as ``(batch, nodes, ...)``.
        rows: ``(batch, length, ...)`` each; ``finish`` gets the part that belongs to a block.
        impossible: the derivative of an impossible sum.
    """

    def passes(likelihood, root, *rows):
        passed = messages.upward_pass(rules[:low], likelihood)
        if root is None:
            total = passed.messages[-1].sum(0)
            root = jnp.where(total == 0, impossible, 1 / jnp.where(total == 0, 1, total))[None]
            root = jnp.broadcast_to(root, passed.messages[-1].shape)
        else:
            root = root.T[:, None]
        below = messages.downward_pass(rules[:low], passed, root)
        log_total = _log_total(passed.messages[-1][:, 0].T, passed.log_scale)
        return log_total, finish(passed, below, *rows)

    low = messages.levels_in_cache(rules)
    root = None
    if low < len(rules):
        roots, log_scale = _subtree_roots(rules[:low], likelihood)
        log_sum, root = _gradient(rules[low:], roots, impossible=impossible)
        root = root.reshape(root.shape[0] * root.shape[1], root.shape[2])
        log_sum = log_sum + log_scale.sum(-1)
    parts = [subtrees(rules[:low], array) for array in (likelihood, *rows)]
    block = 2 * block_of_subtrees(rules[:low])
    alone, found = in_blocks(passes, block, parts[0], root, *parts[1:])
    join = functools.partial(of_trees, rules.shape[-1] ** (len(rules) - low))
    return alone if root is None else log_sum, jax.tree.map(join, found)


def subtrees(rules, array: Float[Array, "batch length ..."]) -> Float[Array, "subtrees leaves ..."]:
    """The leaves of each subtree that has as many levels as ``rules``."""
    leaves = rules.shape[-1] ** len(rules)
    return array.reshape(array.shape[0] * (array.shape[1] // leaves), leaves, *array.shape[2:])


def of_trees(
    count: int, rows: Float[Array, "subtrees nodes ..."]
) -> Float[Array, "batch nodes ..."]:
    """The inverse of :func:`subtrees`, for trees of ``count`` subtrees."""
    return rows.reshape(rows.shape[0] // count, count * rows.shape[1], *rows.shape[2:])


def block_of_subtrees(rules) -> int:
    """How many subtrees are best passed at once."""
    return messages.batch_in_cache(rules.shape[1] * rules.shape[-1] ** len(rules))


def _subtree_roots(
    rules, likelihood
) -> tuple[Float[Array, "batch subtrees vocabulary"], Float[Array, "batch subtrees"]]:
    """The upward message at the root of each subtree, and the log of its divisors."""

    def climb(likelihood):
        passed = messages.upward_pass(rules, likelihood)
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
