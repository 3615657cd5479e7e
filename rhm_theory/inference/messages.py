r"""The two passes of belief propagation over a tree, with arrays laid out for speed.

The public functions are in :mod:`rhm_theory.inference.evidence`.

*Upward*, from the leaves: :math:`\mu_u(a) = \sum_k \prod_i \mu_{ui}(R[a,k,i])`. It is the
likelihood of all leaves below node :math:`u` if its symbol is :math:`a`, without the factor
:math:`1/m` of each rule. *Downward*, from the root:
:math:`\lambda_{ui}(x) = \sum_{(a,k):R[a,k,i]=x} \lambda_u(a) \prod_{j \ne i} \mu_{uj}(R[a,k,j])`.
It is :math:`\partial \ln Z/\partial\mu_{ui}(x)`. The factor graph is a tree, so both are exact.

*Layout.* A level is ``(vocabulary, nodes, batch)``: one symbol of all nodes is contiguous, and a
rule combines whole blocks. Nodes are in the order of their digit-reversed numbers. So the i-th
children of all parents, in the parents' order, are one block: a reshape to
``(vocabulary, branching, parents, batch)``. Loops run over symbols and rules, and the table of
rules is *traced*: a new grammar compiles nothing.

*Scale.* Products are computed directly and not as sums of logarithms, so zeros stay exact and all
derivatives stay finite. Every leaf, and every node of some levels, is divided by its largest entry.
Differentiation treats these divisors as constants, which is right because the result does not
depend on them.
"""

import functools
import operator
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, Int

from theory_common.claims import backed_by

# How many nodes, each with largest entry 1, are multiplied between two normalisations. float64 may
# lose a tree that is less likely than 1e-38 at each of eight nodes; float32 cannot.
NODES_BETWEEN_SCALINGS = {"float64": 8, "complex128": 8}
# Each term is a piece of the compiled loop. More of them compile longer and run no faster.
UNROLLED_RULES = 16
# Messages of a block of sequences that stay in the cache of a core.
ENTRIES_IN_CACHE = 2**16
# A row of fewer sequences is too short for the instructions of a core.
LEAST_BATCH = 32
# Fewer columns than this are transposed faster all at once.
STREAMED_BATCH = 16


class Upward(NamedTuple):
    """The result of the upward pass: the evidence is ``messages[-1].sum(0)[0] * exp(log_scale)``.

    Attributes:
        messages: one array a level, leaves first.
        divisors: by level, what its nodes were divided by, after the levels below.
        log_scale: the log of all divisors together.
    """

    messages: tuple[Float[Array, "vocabulary _nodes batch"], ...]
    divisors: dict[int, Float[Array, "nodes batch"]]
    log_scale: Float[Array, " batch"]


@backed_by("rhm-evidence")
def upward_pass(
    rules: Int[Array, "depth vocabulary rules branching"],
    likelihood: Float[Array, "batch length vocabulary"],
) -> Upward:
    """All upward messages.

    An entry of the batch that is somewhere negative or not finite is NaN from that leaf on. A
    complex likelihood (a generating function on a circle) is scaled by moduli. Claim:
    ``rhm-evidence``.
    """
    branching = rules.shape[-1]
    largest = _divisor_of_leaves(jax.lax.stop_gradient(likelihood))
    log_scale = jnp.log(largest).sum(-1)
    divisors = {0: largest.T[digit_reversal(likelihood.shape[1], branching)]}
    messages = [arranged(likelihood, branching, divisors[0])]
    period = _levels_between_scalings(likelihood.dtype, branching)
    for level, table in enumerate(rules, start=1):
        message, largest = combine(table, messages[-1])
        if level % period == 0:
            divisors[level] = _divisor(largest)
            message = message / divisors[level]
            log_scale = log_scale + jnp.log(divisors[level]).sum(0)
        messages.append(message)
    return Upward(messages=tuple(messages), divisors=divisors, log_scale=log_scale)


@backed_by("rhm-evidence")
def downward_pass(
    rules: Int[Array, "depth vocabulary rules branching"],
    passed: Upward,
    root: Float[Array, "vocabulary 1 batch"],
) -> tuple[Float[Array, "vocabulary _nodes batch"], ...]:
    """The derivative of the log evidence by each (scaled) upward message, leaves first.

    ``root`` is the derivative by the root's message. Claim: ``rhm-evidence``.
    """
    found = [root]
    for level in reversed(range(len(rules))):
        above = found[-1] / passed.divisors.get(level + 1, 1)
        found.append(distribute(rules[level], above, passed.messages[level]))
    return tuple(found[::-1])


def combine(
    table: Int[Array, "vocabulary rules branching"],
    children: Float[Array, "vocabulary nodes batch"],
) -> tuple[Float[Array, "vocabulary parents batch"], Float[Array, "parents batch"]]:
    """One level up: the parents' messages, and the largest modulus of each node's."""
    vocabulary, rules, branching = table.shape
    children = children.reshape(
        vocabulary, branching, children.shape[1] // branching, children.shape[-1]
    )
    if not _loops():

        def add(total, rule):
            return total + product(children[rule[:, i], i] for i in range(branching)), None

        total, _ = jax.lax.scan(add, jnp.zeros_like(children[:, 0]), table.swapaxes(0, 1))
        return total, jnp.abs(jax.lax.stop_gradient(total)).max(0)
    unrolled = max(size for size in range(1, UNROLLED_RULES + 1) if rules % size == 0)

    def some(total, chosen):
        return total + functools.reduce(
            operator.add,
            (product(row_of(children[:, i], rule[i]) for i in range(branching)) for rule in chosen),
        )

    def one(largest, chosen):
        if rules == unrolled:
            message = some(0, chosen)
        else:
            parts = chosen.reshape(-1, unrolled, branching)
            message, _ = jax.lax.scan(
                lambda total, part: (some(total, part), None), jnp.zeros_like(children[0, 0]), parts
            )
        return jnp.maximum(largest, jnp.abs(jax.lax.stop_gradient(message))), message

    largest, messages = jax.lax.scan(
        one, jnp.zeros(children.shape[2:], jnp.finfo(children.dtype).dtype), table
    )
    return messages, largest


def distribute(
    table: Int[Array, "vocabulary rules branching"],
    above: Float[Array, "vocabulary parents batch"],
    children: Float[Array, "vocabulary nodes batch"],
) -> Float[Array, "vocabulary nodes batch"]:
    """One level down, from the parents' derivatives and the children's upward messages."""
    vocabulary, _, branching = table.shape
    # One block for each symbol and place among the children.
    entries = children.reshape(
        vocabulary * branching, children.shape[1] // branching, children.shape[-1]
    )
    rows = table * branching + jnp.arange(branching, dtype=table.dtype)
    siblings = jnp.stack(
        [jnp.roll(rows, -1 - place, axis=-1)[..., :-1] for place in range(branching)], axis=2
    )
    parents = jnp.broadcast_to(jnp.arange(vocabulary, dtype=table.dtype)[:, None, None], rows.shape)
    # NaN of the parents reaches every child, and so those symbols too that no rule gives.
    nothing = jnp.where(jnp.isnan(above[0]), jnp.nan, jnp.zeros_like(above[0]))
    start = jnp.broadcast_to(nothing, entries.shape)

    if not _loops():

        def add(total, rule):
            row, others = rule
            given = above[:, None] * product(entries[others[..., j]] for j in range(branching - 1))
            return total.at[row].add(given), None

        each_rule = (rows.swapaxes(0, 1), siblings.swapaxes(0, 1))
        return jax.lax.scan(add, start, each_rule)[0].reshape(children.shape)

    def step(total, entry):
        # One row is read, changed and written in place. That needs no inverse of the table, nor
        # the padding that it would bring.
        row, parent, others = entry
        given = row_of(above, parent) * product(
            row_of(entries, others[j]) for j in range(branching - 1)
        )
        return jax.lax.dynamic_update_index_in_dim(
            total, row_of(total, row) + given, row, 0, allow_negative_indices=False
        ), None

    each = (rows.ravel(), parents.ravel(), siblings.reshape(-1, branching - 1))
    return jax.lax.scan(step, start, each)[0].reshape(children.shape)


def digit_reversal(nodes: int, branching: int) -> np.ndarray:
    """The numbers of a level's nodes, in the order of the layout; it is its own inverse."""
    depth = round(np.log(nodes) / np.log(branching))
    return np.arange(nodes).reshape((branching,) * depth).transpose().ravel()


def arranged(
    values: Float[Array, "batch nodes vocabulary"],
    branching: int,
    divisor: Float[Array, "nodes batch"],
) -> Float[Array, "vocabulary nodes batch"]:
    """``values`` in the layout, each node divided by its ``divisor`` (in the layout's order)."""
    batch, nodes, vocabulary = values.shape
    order = digit_reversal(nodes, branching)
    if not _loops() or batch < STREAMED_BATCH:
        return values[:, order].transpose(2, 1, 0) / divisor

    def move(moved, node):
        target, source, scale = node
        # Copied before it is transposed: its rows lie apart by a power of two, so they would fall
        # on the same few lines of the cache.
        block = jax.lax.optimization_barrier(row_of(values, source, axis=1))
        return jax.lax.dynamic_update_slice_in_dim(
            moved, (block.T / scale)[:, None], target, 1
        ), None

    # In the order of the source, where neighbours share pages of memory.
    return jax.lax.scan(
        move,
        jnp.zeros((vocabulary, nodes, batch), values.dtype),
        (order, np.arange(nodes), divisor[order]),
    )[0]


def restored(
    first: Float[Array, "vocabulary nodes batch"],
    second: Float[Array, "#vocabulary nodes batch"],
    branching: int,
) -> Float[Array, "batch nodes vocabulary"]:
    """The product of two arrays of the layout, with the batch first and nodes in their order."""
    vocabulary, nodes, batch = first.shape
    order = digit_reversal(nodes, branching)
    if not _loops() or batch < STREAMED_BATCH:
        return (first * second)[:, order].transpose(2, 1, 0)

    def move(moved, node):
        target, source = node
        block = jax.lax.optimization_barrier(
            row_of(first, source, axis=1) * row_of(second, source, axis=1)
        )
        return jax.lax.dynamic_update_slice_in_dim(moved, block.T[:, None], target, 1), None

    return jax.lax.scan(
        move, jnp.zeros((batch, nodes, vocabulary), first.dtype), (np.arange(nodes), order)
    )[0]


def levels_in_cache(rules: Int[Array, "depth vocabulary rules branching"]) -> int:
    """How many levels, from the leaves up, are best passed at once; at least 1.

    A block of :func:`batch_in_cache` subtrees of so many levels fits the cache of a core.
    """
    depth, vocabulary, _, branching = rules.shape
    levels = 1
    while levels < depth and (
        not _loops() or vocabulary * branching ** (levels + 1) <= ENTRIES_IN_CACHE // LEAST_BATCH
    ):
        levels += 1
    return levels


def batch_in_cache(entries: int, least: int = LEAST_BATCH) -> int:
    """How many trees, of so many ``entries`` of the likelihood each, are best passed at once."""
    return max(least, ENTRIES_IN_CACHE // entries) if _loops() else np.iinfo(np.int32).max // 2


def _levels_between_scalings(dtype, branching: int) -> int:
    allowed = NODES_BETWEEN_SCALINGS.get(np.dtype(dtype).name, 1)
    return max(1, int(np.log(allowed) / np.log(branching) + 1e-9))


def _divisor_of_leaves(
    likelihood: Float[Array, "batch length vocabulary"],
) -> Float[Array, "batch length"]:
    """The divisor of each leaf; NaN where a likelihood is negative or not finite."""
    if jnp.iscomplexobj(likelihood):
        return _divisor(jnp.abs(likelihood).max(-1))
    smallest, largest = likelihood.min(-1), likelihood.max(-1)
    return jnp.where((smallest >= 0) & (largest < jnp.inf), _divisor(largest), jnp.nan)


def _divisor(largest: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The largest entry, 1 where it is 0: all entries stay 0."""
    return jnp.where(largest > 0, largest, 1)


def _loops() -> bool:
    """Whether to loop over symbols, one contiguous block each.

    That is right for a CPU; other devices take all symbols at once.
    """
    return jax.default_backend() == "cpu"


def product(factors: Iterable[Array]) -> Array:
    """The product of one array or more."""
    return functools.reduce(operator.mul, factors)


def row_of(values: Array, index: Int[Array, ""], axis: int = 0) -> Array:
    """The entry of ``values`` at a traced ``index`` >= 0 of an axis."""
    # Wrapping negative indices would look at the sign for every entry: half of the whole pass.
    return jax.lax.dynamic_index_in_dim(
        values, index, axis, keepdims=False, allow_negative_indices=False
    )
