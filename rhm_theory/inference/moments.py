r"""The number N of leaves in which a posterior sample differs from the start: moments and law.

``N = sum_i n_i``, and ``n_i`` is 1 where leaf i of a posterior sample differs from the start. Give
every leaf that differs the weight :math:`e^\eta`. Then :math:`\ln Z(\eta)` contains all results.
Its Taylor coefficients are the cumulants. Its Hessian, with one :math:`\eta` for each leaf, is the
covariance. The characteristic function is :math:`Z(it)/Z(0)`.

The computation avoids differences of large terms. Each node carries, for each of its symbols, the
law of the changes below *given that symbol*. A parent's law is a mixture, over its rules, of sums
over its children. One upward pass (:func:`_climb`) serves every result. The results differ in what
is carried and mixed:

* the first cumulants, mixed about the common mean, so that all terms of the variance are >= 0;
* the characteristic function at the roots of unity, then a Fourier transform;
* the conditional expectation of every leaf's change below a node.

Every function takes a ``likelihood`` ``(*batch, length, vocabulary)``, zeros included, and a
``start``: leaves ``(*batch, length)`` or a :class:`Tree`. Batches broadcast. Impossible evidence is
a ``ValueError`` that names the node; traced, it gives NaN everywhere. Time and memory are linear in
the length unless a function says otherwise. All functions work under jit, vmap and grad.

:func:`change_moments`, :func:`change_correlations` and :func:`susceptibility` take any model; see
:mod:`rhm_theory.models.interface`.

Source: new.
"""

import functools
import itertools
import math
import operator
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float, Int

from rhm_theory.inference import evidence as inference
from rhm_theory.inference import messages
from rhm_theory.models import interface
from rhm_theory.models.grammar import Grammar, Tree
from theory_common import checks
from theory_common.batching.blocks import in_blocks
from theory_common.claims import backed_by
from theory_common.printing.display import readable

# Bytes of the largest intermediate of change_distribution, which takes as many frequencies at once
# as fit: a few caches' worth.
CHUNK_BYTES = 2**25


# Leaves, or the trees that have them.
Start = Int[ArrayLike, "*#batch length"] | Tree


@readable()
class ChangeMoments(NamedTuple):
    """Exact moments of the number N of changed leaves.

    Attributes:
        mean: of N.
        variance: of N.
        leaf_variance: the sum over the leaves of their variances.
        pair_sums: by the level 1, 2, .. depth of the lowest common ancestor, the sum of Cov(n_i,
            n_j) over the ordered pairs of leaves. So
            ``variance = leaf_variance + pair_sums.sum(-1)``.
        raw_pair_sums: the same of the raw moments <n_i n_j>.
        changed: for each level, leaves first, the probability that each node differs from the
            start's.
    """

    mean: Float[AnyArray, "*batch"]
    variance: Float[AnyArray, "*batch"]
    leaf_variance: Float[AnyArray, "*batch"]
    pair_sums: Float[AnyArray, "*batch depth"]
    raw_pair_sums: Float[AnyArray, "*batch depth"]
    changed: tuple[Float[AnyArray, "*batch _nodes"], ...]

    @property
    def leaf_changed(self) -> Float[AnyArray, "*batch length"]:
        """The probability that each leaf differs from the start's."""
        return self.changed[0]

    @property
    def susceptibility(self) -> Float[AnyArray, "*batch"]:
        """Variance of N over the sum of the leaves' variances; see :func:`susceptibility`."""
        return self.variance / self.leaf_variance


@backed_by("rhm-change-moments")
def change_moments(
    model: Grammar | interface.SequenceModel,
    likelihood: Float[ArrayLike, "*#batch length vocabulary"],
    start: Start,
) -> ChangeMoments:
    r"""Mean and variance of N, pair sums by level, and the change probability of every node.

    Conditional on a symbol a, with weights w of its rules k, :math:`N(a) = \sum_k w_k \sum_i N_i`
    and :math:`V(a) = \sum_k w_k [\sum_i V_i + (\sum_i N_i - N(a))^2]`. With node posteriors P and
    :math:`\delta_u(a) = N_u(a) - \langle N_u\rangle`, the pairs that meet at level l add
    :math:`C_\ell = \sum_{u \in \ell} \sum_a P_u(a) \sum_k w_k \sum_{i \ne j} \delta_i \delta_j`.

    Args:
        model: a :class:`rhm_theory.Grammar`, or any model with a method ``change_moments``.
        likelihood: of every leaf and symbol, finite and >= 0.
        start: the sequence before the noise; of a grammar, one of its language.

    Returns: :class:`ChangeMoments`; other models return the moments that they have, with ``mean``,
        ``variance``, ``leaf_variance``, ``leaf_changed`` and ``susceptibility`` among them.
    Raises: ``TypeError`` or ``ValueError`` that names the argument; ``ValueError`` if a concrete
        ``start`` is not in the language. A traced one gives NaN for nodes that derive nothing.
    Accuracy: a few eps times the depth; float32 reached 1e-6 of the largest entry at depth 7.
    Claim: ``rhm-change-moments``.
    """
    if not isinstance(model, Grammar):
        return interface.verb(model, "change_moments")(likelihood, start)
    tree = start if isinstance(start, Tree) else model.parse(model.sequences("start", start))
    return _evaluate(_change_moments, model, likelihood, tree.leaves, nodes=tree.symbols)


@backed_by("rhm-cumulants", "rhm-zero-noise")
def susceptibility(
    model: Grammar | interface.SequenceModel,
    likelihood: Float[ArrayLike, "*#batch length vocabulary"],
    start: Start,
) -> Float[AnyArray, "*batch"]:
    r""":math:`\chi = \operatorname{Var} N / \sum_i \operatorname{Var} n_i`.

    It is the mean size of a block of leaves that change together, weighted by variance. Without
    correlations it is 1. It is NaN where nothing can change, as for noise of level 0. Its limit at
    level 0 need not be 1. In the epsilon-process this limit is the least number of leaves in which
    another sequence of the language differs from the start.

    For several starts, average numerator and denominator separately: ``variance`` and
    ``leaf_variance`` of :func:`change_moments`.

    Args:
        model: a :class:`rhm_theory.Grammar`, or any model with a method ``change_moments``.
        likelihood: of every leaf and symbol, finite and >= 0.
        start: the sequence before the noise.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Claims: ``rhm-cumulants``, ``rhm-zero-noise``.
    """
    if not isinstance(model, Grammar):
        return interface.verb(model, "change_moments")(likelihood, start).susceptibility
    return _evaluate(_susceptibility, model, likelihood, start)[1]


@backed_by("rhm-cumulants")
def change_cumulants(
    grammar: Grammar,
    likelihood: Float[ArrayLike, "*#batch length vocabulary"],
    start: Start,
    *,
    order: int = 4,
) -> Float[AnyArray, "*batch order"]:
    """The first ``order`` cumulants of N, from the mean on.

    Args:
        grammar: the rules.
        likelihood: of every leaf and symbol, finite and >= 0.
        start: the sequence before the noise.
        order: of the last cumulant, at least 1.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Accuracy: the first two as in :func:`change_moments`. The higher ones are differences by nature;
        they are exact relative to the central moments.
    Claim: ``rhm-cumulants``.
    """
    compute = functools.partial(_change_cumulants, order=checks.whole("order", order, least=1))
    return _evaluate(compute, grammar, likelihood, start)


@backed_by("rhm-change-law")
def change_distribution(
    grammar: Grammar, likelihood: Float[ArrayLike, "*#batch length vocabulary"], start: Start
) -> Float[AnyArray, "*batch numbers"]:
    r"""The law P(N = k), k = 0 .. length.

    It comes from the characteristic function at the (length + 1)-th roots of unity. Time is
    quadratic in the length, memory is bounded (``CHUNK_BYTES``).

    Args:
        grammar: the rules.
        likelihood: of every leaf and symbol, finite and >= 0.
        start: the sequence before the noise.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Accuracy: absolute, about 1e-15 (float32: 1e-7). Values below that are rounding, cut at 0.
    Claim: ``rhm-change-law``.
    """
    return _evaluate(_change_distribution, grammar, likelihood, start)


@backed_by("rhm-change-moments")
def change_correlations(
    model: Grammar | interface.SequenceModel,
    likelihood: Float[ArrayLike, "*#batch length vocabulary"],
    start: Start,
    *,
    memory_limit: int = 2**31,
) -> Float[AnyArray, "*batch length length"]:
    r"""Covariance matrix of the ``n_i``: :math:`\partial^2 \ln Z/\partial\eta_i\partial\eta_j`.

    For each node of a tree the changes of the leaves below, given its symbol, are averaged upwards.
    Two children and the rule that made both give a block of the matrix. So the time
    grows like the size of the matrix. The spins of the paper, 1 - 2 n, have four times this
    covariance.

    Args:
        model: a :class:`rhm_theory.Grammar`, or any model with a method ``change_correlations``.
        likelihood: of every leaf and symbol, finite and >= 0.
        start: the sequence before the noise.
        memory_limit: bytes that the matrices of a grammar may take.

    Raises: ``TypeError`` or ``ValueError`` that names the argument; ``ValueError`` if the matrices
        need more than ``memory_limit`` bytes.
    Claim: ``rhm-change-moments``.
    """
    if not isinstance(model, Grammar):
        return interface.verb(model, "change_correlations")(likelihood, start)
    likelihood = inference.checked(model, likelihood)
    leaves = model.sequences("start", start)
    matrices = math.prod(_batch(likelihood, leaves))
    needed = matrices * model.length**2 * likelihood.dtype.itemsize
    if not isinstance(memory_limit, Real):
        raise TypeError(f"memory_limit must be a number of bytes, got {memory_limit!r}")
    if needed > memory_limit:
        raise ValueError(
            f"change_correlations needs {needed / 2**30:.3g} GiB for {matrices} matrices of "
            f"{model.length} x {model.length}, more than "
            f"memory_limit = {memory_limit / 2**30:.3g} GiB: raise it, take fewer starts at once, "
            "or use change_moments, whose pair sums need no matrix"
        )
    return _evaluate(_change_correlations, model, likelihood, leaves)


def mean_by_distance(
    matrix: Float[ArrayLike, "*batch length length"],
) -> Float[AnyArray, "*batch length"]:
    """C(r): mean of a matrix over pairs at distance ``r = |i - j|``, for r = 0 .. length - 1.

    Args: matrix: one or many, of at least one row.
    Raises: ``TypeError`` or ``ValueError`` that names ``matrix``.
    """
    matrix = checks.real("matrix", matrix)
    length = matrix.shape[-1] if matrix.ndim else 0
    if matrix.shape[-2:] != (length, length) or not length:
        raise ValueError(
            f"matrix must end in two equal axes of at least one entry, got shape {matrix.shape}"
        )
    distance = np.abs(np.subtract.outer(np.arange(length), np.arange(length))).ravel()
    entries = matrix.reshape(*matrix.shape[:-2], length**2)
    sums = jnp.zeros((*matrix.shape[:-2], length), matrix.dtype)
    return sums.at[..., distance].add(entries) / np.bincount(distance)


# --- the pass

# Inside, arrays have the layout of rhm_theory.inference.messages: [symbol, node, start], and the
# i-th children of all parents are one block.


def _batch(likelihood: Array, leaves: Array) -> tuple[int, ...]:
    return checks.common_shape(likelihood=likelihood.shape[:-2], start=leaves.shape[:-1])


def _evaluate(
    compute: Callable, grammar: Grammar, likelihood, start, nodes: tuple[Array, ...] = ()
) -> Any:
    """``compute(grammar, likelihood, differs)`` with checked arguments and one batch axis.

    ``differs`` is 1 for each symbol of each leaf that is not the start's. The first array that is
    computed is finite if and only if the evidence is possible. ``nodes`` are the start's symbols by
    level, where they are needed.
    """
    likelihood = inference.checked(grammar, likelihood)
    leaves = grammar.sequences("start", start)
    batch = _batch(likelihood, leaves)
    found = compute(grammar, *_in_rows(likelihood, leaves, tuple(nodes), batch))
    first = jax.tree.leaves(found)[0]
    if not checks.is_traced(first):
        possible = np.isfinite(first).all(tuple(range(1, first.ndim))).reshape(batch)
        inference.require_possible(
            grammar, jnp.broadcast_to(likelihood, (*batch, *likelihood.shape[-2:])), possible
        )
    return jax.tree.map(lambda array: array.reshape(*batch, *array.shape[1:]), found)


@functools.partial(jax.jit, static_argnames="batch")
def _in_rows(
    likelihood: Array, leaves: Array, nodes: tuple[Array, ...], batch: tuple[int, ...]
) -> list:
    """The likelihood, ``differs`` and, where there are any, the nodes, with one axis of batch."""
    vocabulary = likelihood.shape[-1]
    differs = (leaves[..., None] != jnp.arange(vocabulary)).astype(likelihood.dtype)

    def rows(array, axes):
        own = array.shape[-axes:]
        return jnp.broadcast_to(array, (*batch, *own)).reshape(math.prod(batch), *own)

    levels = tuple(rows(level, 1) for level in nodes)
    return [rows(likelihood, 2), rows(differs, 2), *([levels] if nodes else [])]


def _by_blocks(compute: Callable) -> Callable:
    """Wrap ``compute(grammar, *rows)`` to take a block of starts at a time."""

    @functools.wraps(compute)
    def blocked(grammar: Grammar, *rows):
        size = messages.batch_in_cache(grammar.length * grammar.vocabulary, least=1)
        return in_blocks(functools.partial(compute, grammar), size, *rows)

    return blocked


def _passed_up(
    grammar: Grammar, likelihood: Array, differs: Array
) -> tuple[messages.Upward, Array]:
    """The messages, and ``differs`` in their layout."""
    return messages.upward_pass(grammar.rules, likelihood), _arranged(differs, grammar.branching)


def _arranged(differs: Array, branching: int) -> Array:
    return messages.arranged(differs, branching, jnp.ones(differs.shape[1::-1], differs.dtype))


def _node_posteriors(grammar: Grammar, passed: messages.Upward) -> list[Array]:
    """Posterior of every node, by level."""
    root = passed.messages[-1]
    below = messages.downward_pass(
        grammar.rules, passed, jnp.broadcast_to(1 / root.sum(0), root.shape)
    )
    return [up * down for up, down in zip(passed.messages, below, strict=True)]


def _climb(table: Array, below: Array, values: Any, join: Callable, mix: Callable) -> Any:
    """One level up: the parents' values, from the children's messages ``below`` and their values.

    Args:
        join: ``join(children)`` is the value that the children of one rule make together.
        mix: ``mix(weights, parts)`` is the value of the mixture of ``parts``. The weights sum to 1,
            or are 0 where no rule is possible. Mixing must be associative, as mixing of laws is.
    """
    rules, branching = table.shape[-2:]
    blocks = jax.tree.map(
        lambda x: x.reshape(len(x) * branching, x.shape[1] // branching, *x.shape[2:]),
        (below, values),
    )
    rows = table * branching + jnp.arange(branching, dtype=table.dtype)
    unrolled = max(size for size in range(1, messages.UNROLLED_RULES + 1) if rules % size == 0)

    def mixed(weights, parts):
        total = _sum(weights)
        inverse = 1 / jnp.where(total > 0, total, 1)
        return total, mix([weight * inverse for weight in weights], parts)

    def some(chosen):
        picked = [
            [jax.tree.map(functools.partial(messages.row_of, index=row), blocks) for row in places]
            for places in chosen
        ]
        weights = [messages.product(message for message, _ in places) for places in picked]
        return mixed(weights, [join([value for _, value in places]) for places in picked])

    def one_symbol(chosen):
        first, *others = chosen.reshape(-1, unrolled, branching)
        state = some(first)
        if others:
            state, _ = jax.lax.scan(
                lambda state, part: (mixed(*zip(state, some(part), strict=True)), None),
                state,
                jnp.stack(others),
            )
        return state[1]

    # One symbol after the other keeps a CPU's caches; other devices take all at once.
    if jax.default_backend() == "cpu":
        return jax.lax.map(one_symbol, rows)
    return jax.vmap(one_symbol)(rows)


def _sum(values) -> Array:
    return functools.reduce(operator.add, values)


def _average(weights, values) -> Array:
    return _sum(weight * value for weight, value in zip(weights, values, strict=True))


# --- cumulants: a law is the list of its cumulants of order 1, 2, ..


def _join_cumulants(children: Sequence[list[Array]]) -> list[Array]:
    """Cumulants of independent laws add."""
    return [_sum(cumulants) for cumulants in zip(*children, strict=True)]


def _mix_cumulants(weights, parts: list[list[Array]]) -> list[Array]:
    """Cumulants of a mixture: central moments about the common mean are averaged.

    Order 2 is ``sum_k w_k (V_k + (N_k - N)^2)``.
    """
    mean = _average(weights, [part[0] for part in parts])
    moments = [_moments_of([part[0] - mean, *part[1:]])[2:] for part in parts]
    central = [_average(weights, moment) for moment in zip(*moments, strict=True)]
    return [mean, *_cumulants_of([jnp.ones_like(mean), jnp.zeros_like(mean), *central])[1:]]


def _moments_of(cumulants: list[Array]) -> list[Array]:
    """Moments of order 0, 1, .. from the cumulants of order 1, 2, .."""
    moments = [jnp.ones_like(cumulants[0])]
    for order in range(1, len(cumulants) + 1):
        moments.append(
            _sum(
                math.comb(order - 1, j - 1) * cumulants[j - 1] * moments[order - j]
                for j in range(1, order + 1)
            )
        )
    return moments


def _cumulants_of(moments: list[Array]) -> list[Array]:
    """Cumulants of order 1, 2, .. from the moments of order 0, 1, .."""
    cumulants: list[Array] = []
    for order in range(1, len(moments)):
        lower = sum(
            math.comb(order - 1, j - 1) * cumulants[j - 1] * moments[order - j]
            for j in range(1, order)
        )
        cumulants.append(moments[order] - lower)
    return cumulants


def _climb_all(
    rules: Array, passed: messages.Upward, values: Any, join: Callable, mix: Callable
) -> Any:
    """All levels up: the values of the root's symbols, from those of the leaves."""
    for table, below in zip(rules, passed.messages, strict=False):
        values = _climb(table, below, values, join, mix)
    return values


def _at_root(root: Array, values: Any, mix: Callable) -> Any:
    """The values of the whole tree: those of the root's symbols, mixed with its posterior.

    NaN where no symbol is possible.
    """
    parts = [
        jax.tree.map(lambda value, symbol=symbol: value[symbol], values)
        for symbol in range(len(root))
    ]
    return mix(root / root.sum(0), parts)


def _law_of_block(
    rules: Array, passed: messages.Upward, law: list[Array]
) -> tuple[Array, list[Array]]:
    """Messages and cumulants of each root's symbols, ``(trees, 1, vocabulary)``."""
    cumulants = _climb_all(rules, passed, law, _join_cumulants, _mix_cumulants)
    return jax.tree.map(jnp.transpose, (passed.messages[-1], cumulants))


def _law(rules: Array, likelihood: Array, law: list[Array]) -> list[Array]:
    """Cumulants of the whole tree, from those of the leaves' symbols.

    They are ``(batch, length, vocabulary)``. Deep trees are taken by their subtrees.
    """
    if not len(rules):
        return _at_root(likelihood[:, 0].T, [cumulant[:, 0].T for cumulant in law], _mix_cumulants)
    low = messages.levels_in_cache(rules)

    def climb(likelihood, law):
        passed = messages.upward_pass(rules[:low], likelihood)
        leaves = [_arranged(cumulant, rules.shape[-1]) for cumulant in law]
        return _law_of_block(rules[:low], passed, leaves)

    parts = jax.tree.map(functools.partial(inference.subtrees, rules[:low]), (likelihood, law))
    found = in_blocks(climb, inference.block_of_subtrees(rules[:low]), *parts)
    join = functools.partial(inference.of_trees, rules.shape[-1] ** (len(rules) - low))
    return _law(rules[low:], *jax.tree.map(join, found))


@functools.partial(jax.jit, static_argnames="order")
def _change_cumulants(grammar: Grammar, likelihood: Array, differs: Array, *, order: int) -> Array:
    leaves = [differs, *[jnp.zeros_like(differs)] * (order - 1)]
    return jnp.stack(_law(grammar.rules, likelihood, leaves), -1)


@jax.jit
def _susceptibility(grammar: Grammar, likelihood: Array, differs: Array) -> tuple[Array, Array]:
    rules = grammar.rules
    low = messages.levels_in_cache(rules)

    def finish(passed, below, differs):
        changed = _arranged(differs, grammar.branching)
        variances = _leaf_variances(passed.messages[0] * below[0], changed).sum(0)[:, None]
        return variances, _law_of_block(rules[:low], passed, [changed, jnp.zeros_like(changed)])

    _, (variances, found) = inference.up_and_down(rules, finish, likelihood, differs)
    mean, variance = _law(rules[low:], *found)
    return mean, variance / variances.sum(-1)


def _over_symbols(term: Callable, *arrays: Array) -> Any:
    """``sum_a term(a-th of each array)``, as a loop.

    On a CPU, XLA's own sum over a leading axis strides, and takes eight times as long.
    """

    def add(total, each):
        return jax.tree.map(operator.add, total, term(*each)), None

    one = jax.eval_shape(term, *(array[0] for array in arrays))
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), one)
    return jax.lax.scan(add, zero, arrays)[0]


def _leaf_variances(leaves: Array, changed: Array) -> Array:
    """[leaf, start]: products of the probabilities to change and to stay.

    1 minus either would cancel.
    """
    return messages.product(
        _over_symbols(lambda p, change: (p * change, p * (1 - change)), leaves, changed)
    )


# --- moments by level


class _Pairs(NamedTuple):
    """Cumulants of the changes below a node, and what two of its children make together.

    ``raw`` and ``connected`` are the expected products of the means of two children.
    """

    law: list[Array]
    raw: Array
    connected: Array


def _join_pairs(children: list[tuple[list[Array], Array]]) -> _Pairs:
    """The pairs of children with these laws.

    ``children`` also have the deviations of their means from those without conditions.
    """
    laws, deviations = zip(*children, strict=True)
    return _Pairs(
        law=_join_cumulants(laws),
        raw=_pairs([law[0] for law in laws]),
        connected=_pairs(deviations),
    )


def _mix_pairs(weights, parts: list[_Pairs]) -> _Pairs:
    return _Pairs(
        law=_mix_cumulants(weights, [part.law for part in parts]),
        raw=_average(weights, [part.raw for part in parts]),
        connected=_average(weights, [part.connected for part in parts]),
    )


def _pairs(values) -> Array:
    """``sum_{i != j} x_i x_j``, not as a difference of squares."""
    total = values[0]
    pairs = jnp.zeros_like(total)
    for value in values[1:]:
        pairs = pairs + total * value
        total = total + value
    return 2 * pairs


@jax.jit
@_by_blocks
def _change_moments(
    grammar: Grammar, likelihood: Array, differs: Array, symbols: tuple[Array, ...]
) -> ChangeMoments:
    passed, changed = _passed_up(grammar, likelihood, differs)
    posteriors = _node_posteriors(grammar, passed)
    law = [changed, jnp.zeros_like(changed)]
    sums = []
    levels = zip(grammar.rules, passed.messages, posteriors, posteriors[1:], strict=False)
    for table, below, posterior, above in levels:
        deviation = law[0] - _over_symbols(operator.mul, posterior, law[0])
        found = _climb(table, below, (law, deviation), _join_pairs, _mix_pairs)
        law = found.law
        by_node = _over_symbols(
            lambda p, *pairs: [p * pair for pair in pairs], above, found.raw, found.connected
        )
        sums.append([pairs.sum(0) for pairs in by_node])
    root_law = [cumulant[:, 0] for cumulant in law]
    mean, variance = _at_root(passed.messages[-1][:, 0], root_law, _mix_cumulants)
    raw, connected = (jnp.stack(levels, -1) for levels in zip(*sums, strict=True))
    return ChangeMoments(
        mean=mean,
        variance=variance,
        leaf_variance=_leaf_variances(posteriors[0], changed).sum(0),
        pair_sums=connected,
        raw_pair_sums=raw,
        changed=tuple(
            _node_changed(level, nodes, grammar.branching)
            for level, nodes in zip(posteriors, symbols, strict=True)
        ),
    )


def _node_changed(posterior: Array, symbols: Array, branching: int) -> Array:
    """Probability to differ from ``symbols`` [start, node], NaN where that is -1.

    A sum over the other symbols: 1 minus the probability to agree would cancel.
    """
    order = messages.digit_reversal(symbols.shape[-1], branching)
    arranged = symbols[:, order].T

    def unless_equal(p, symbol):
        return jnp.where(arranged == symbol, 0, p)

    found = _over_symbols(unless_equal, posterior, jnp.arange(len(posterior)))
    return jnp.where(arranged < 0, jnp.nan, found)[order].T


# --- the whole law


@jax.jit
def _change_distribution(grammar: Grammar, likelihood: Array, differs: Array) -> Array:
    numbers = grammar.length + 1
    if not len(likelihood):  # JAX maps nothing in batches of no size
        return jnp.zeros((0, numbers), likelihood.dtype)
    passed, changed = _passed_up(grammar, likelihood, differs)

    def characteristic(angle):
        values = jnp.where(changed > 0, jax.lax.complex(jnp.cos(angle), -jnp.sin(angle)), 1)
        values = _climb_all(grammar.rules, passed, values, messages.product, _average)
        return _at_root(passed.messages[-1][:, 0], values[:, 0], _average)

    angles = 2 * jnp.pi / numbers * jnp.arange(numbers // 2 + 1, dtype=likelihood.dtype)
    at_once = CHUNK_BYTES // (2 * likelihood.dtype.itemsize * max(likelihood.size, 1))
    spectrum = jax.lax.map(characteristic, angles, batch_size=min(max(at_once, 1), len(angles)))
    return jnp.maximum(jnp.fft.irfft(spectrum.T, numbers), 0)


# --- correlations of every pair


def _mix_expectations(weights, parts: list[Array]) -> Array:
    """[parent, start, leaf]"""
    return _average([weight[..., None] for weight in weights], parts)


def _rule_posteriors(table: Array, below: Array, above: Array) -> Array:
    """Posterior of each symbol and rule of every node: [symbol and rule, node, start]."""
    children = below.reshape(
        len(below), table.shape[-1], below.shape[1] // table.shape[-1], below.shape[-1]
    )
    weights = messages.product(
        children[table[..., place], place] for place in range(table.shape[-1])
    )
    total = weights.sum(1, keepdims=True)
    return (above[:, None] * weights / jnp.where(total > 0, total, 1)).reshape(
        weights.shape[0] * weights.shape[1], *above.shape[1:]
    )


@jax.jit
@_by_blocks
def _change_correlations(grammar: Grammar, likelihood: Array, differs: Array) -> Array:
    branching = grammar.branching
    passed, changed = _passed_up(grammar, likelihood, differs)
    posteriors = _node_posteriors(grammar, passed)
    expected = changed[..., None]
    # [node, start, leaf, leaf]: the covariances below each node.
    matrix = _leaf_variances(posteriors[0], changed)[..., None, None]

    def mean_of_leaves(p, leaves):
        return p[..., None] * leaves

    beside = functools.partial(jnp.concatenate, axis=-1)
    levels = zip(grammar.rules, passed.messages, posteriors, posteriors[1:], strict=False)
    for table, below, posterior, above in levels:
        deviation = expected - _over_symbols(mean_of_leaves, posterior, expected)
        expected = _climb(table, below, expected, beside, _mix_expectations)
        joint = _rule_posteriors(table, below, above)
        deviation = deviation.reshape(
            len(deviation), branching, deviation.shape[1] // branching, *deviation.shape[2:]
        )
        places = [deviation[table[..., place].ravel(), place] for place in range(branching)]
        diagonal = matrix.reshape(branching, len(matrix) // branching, *matrix.shape[1:])
        matrix = jnp.block(_grid(diagonal, joint, places))
    return matrix[0]


def _grid(diagonal: Array, joint: Array, places: list[Array]) -> list[list[Array]]:
    """Blocks of the covariance below each node.

    ``diagonal`` are those below its children. ``joint`` is the law of the rule that makes two of
    them, ``places`` what each rule means for each child.
    """
    size = len(places)
    grid = [[diagonal[i]] * size for i in range(size)]
    for i, j in itertools.combinations(range(size), 2):
        grid[i][j] = jnp.einsum("xns,xnsp,xnsq->nspq", joint, places[i], places[j])
        grid[j][i] = grid[i][j].swapaxes(-1, -2)
    return grid
