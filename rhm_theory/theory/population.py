r"""Random hierarchies of any depth, by population dynamics: the law of a message, level by level.

Mean field replaces the message of a node by its average over random rules. Here nothing is
averaged. In a *given* grammar the message of a node is random only through the derivation below
it. Its law depends on the node's own symbol a. A population keeps that law: ``size`` messages
for each symbol and rule. One level up,

.. math:: \mu(b) \propto \sum_k \prod_i \mu_i(R[b,k,i]), \qquad \mu_i \sim \text{law of } R[a,k',i],

for the node's own symbol a and rule k'. The i-th child is a random member of the population of its
own symbol. All members of a level use the same rules R, as all nodes of that level do. So for a
large population the law is that of exact belief propagation in this grammar. The cost is linear in
the depth, in the population, and in the rules of a level. A tree has s^depth leaves, so exact
belief propagation is practical up to about depth 12.

Averages over grammars are averages over independent populations, each with a grammar of its own.
The rules of the lowest levels shift the noise at which a grammar loses its root. So at finite v and
m *each grammar has its own critical noise*, and :func:`transition` gives one for each population.
The root recovery of an infinitely deep grammar jumps there. Its average over grammars does not
jump: it is the share of grammars whose critical noise is larger.

A population of finite size adds an error: random, of order 1/sqrt(size) in one population, and a
bias of order 1/size in the mean. The errors that are reported are those of independent populations,
so they contain the first. Compare two sizes for the second.

Source: population dynamics, Mezard & Parisi, *The Bethe lattice spin glass revisited* (2001), for
one table of rules a level. Its use here is new.
"""

import functools
import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Array as AnyArray
from jaxtyping import ArrayLike, Float

from rhm_theory.inference.messages import combine
from rhm_theory.models.grammar import Grammar, require_grammar
from theory_common import checks
from theory_common.batching import chunks
from theory_common.batching.blocks import in_blocks
from theory_common.printing.display import readable

ENTRIES_IN_CACHE = 2**15  # of the children of a block of members
LEAST_BLOCK = 128  # members; a row of fewer is too short for the instructions of a core
BISECTIONS = 44  # of the interval [0, 1]; about 6e-14 is left


@readable()
class Beliefs(NamedTuple):
    """The law of the messages, by the level of the tree, leaves first.

    Attributes:
        mean: the probability of a node's own symbol given the leaves below, averaged.
        deviation: its standard deviation over nodes.
        messages: of the nodes of the last level, normalised; ``messages[a]`` are those of symbol a.
    """

    mean: Float[AnyArray, "*batch levels"]
    deviation: Float[AnyArray, "*batch levels"]
    messages: Float[AnyArray, "*batch vocabulary members vocabulary"]


@readable()
class Transition(NamedTuple):
    """The noise at which the root is lost, one for each population (and grammar).

    Attributes:
        low: a noise at which the root of the last level is recovered.
        high: a noise at which it is lost, about 6e-14 above ``low``.
        belief: mean probability of a node's own symbol between them, by level.
        slope: minus its derivative by the noise, by level.
        branching: of the grammars.
    """

    low: Float[np.ndarray, " populations"]
    high: Float[np.ndarray, " populations"]
    belief: Float[np.ndarray, "populations levels"]
    slope: Float[np.ndarray, "populations levels"]
    branching: int


@readable()
class Critical(NamedTuple):
    """Averages over populations, with standard errors; see :func:`critical`.

    Attributes:
        noise: the mean critical noise.
        noise_error: of it.
        spread: the standard deviation of the critical noise over the populations.
        belief: the mean probability of a node's own symbol at the critical noise.
        belief_error: of it.
        exponent: nu, the exponent of the size that is decided together. It is ln(branching) over
            the mean growth of the logarithm of the slope from one level to the next.
        exponent_error: of it.
    """

    noise: float
    noise_error: float
    spread: float
    belief: float
    belief_error: float
    exponent: float
    exponent_error: float


def beliefs(
    key: Array, grammar: Grammar, level: Float[ArrayLike, "*batch"], *, size: int
) -> Beliefs:
    r"""The law of the messages at each level of a grammar, under the epsilon-process.

    Args:
        key: of the members that are chosen as children. The same key makes the same choices at all
            noise levels.
        grammar: its rules; any depth.
        level: of the noise, in [0, 1], any shape.
        size: members for each rule of each symbol, at least 1. The population has vocabulary *
            rules_per_symbol * size members.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    Time: linear in the depth and in the population.
    Tested: against exact belief propagation on the same grammars.
    """
    require_grammar(grammar)
    level = checks.require("level", level, lambda value: (value >= 0) & (value <= 1), "in [0, 1]")
    size = checks.whole("size", size, least=1)
    return _beliefs(checks.key("key", key), grammar, level, size=size)


def transition(
    key: Array,
    *,
    vocabulary: int,
    rules_per_symbol: int,
    branching: int,
    depth: int,
    size: int,
    populations: int,
    folder: Any = None,
    progress: bool = False,
) -> Transition:
    """Bisect for the noise at which the root is lost, in ``populations`` random grammars.

    A root counts as recovered if its mean belief is above (1 + 1/v)/2. The same choices are made at
    all noise levels. So the bisection goes on until the beliefs stay near the critical ones
    through nearly all levels. At each level their distance from the critical ones grows by the
    slope's factor.

    Args:
        key: of the grammars and the populations.
        vocabulary: as :meth:`rhm_theory.Grammar.random` takes it, and so the next two.
        rules_per_symbol: tuples that each symbol may become.
        branching: symbols of a tuple.
        depth: levels of rules. About 30 is enough for the default width of the bisection.
        size: as in :func:`beliefs`.
        populations: independent ones, each with a grammar of its own, at least 1.
        folder: keeps finished populations, so that a stopped run goes on.
        progress: show a bar.

    Returns: :class:`Transition`. Where mean field has no transition, the noise found depends on the
        depth, or is an end of [0, 1].
    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    size = checks.whole("size", size, least=1)
    keys = jax.random.split(
        checks.key("key", key), checks.whole("populations", populations, least=1)
    )
    numbers = {
        "depth": depth,
        "vocabulary": vocabulary,
        "rules_per_symbol": rules_per_symbol,
        "branching": branching,
    }
    # What no grammar can be raises here, before anything is compiled.
    jax.eval_shape(lambda one: Grammar.random(one, **numbers), keys[0])
    run = functools.partial(_transitions, numbers=tuple(numbers.items()), size=size)
    name = f"populations {vocabulary},{rules_per_symbol},{branching} depth {depth} size {size}"
    rows = np.asarray(jax.vmap(jax.random.key_data)(keys))
    found = chunks.mapped(run, (), rows, chunk=1, folder=folder, name=name, progress=progress)
    low, high, belief, slope = found
    return Transition(low, high, belief, -slope, branching)


def transition_of(key: Array, grammar: Grammar, *, size: int) -> Transition:
    """As :func:`transition`, of one given grammar; the arrays have no axis of populations.

    Args:
        key: of the members that are chosen as children.
        grammar: its rules; any depth.
        size: as in :func:`beliefs`.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    require_grammar(grammar)
    size = checks.whole("size", size, least=1)
    found = _transition(checks.key("key", key), grammar, size=size)
    low, high, belief, slope = (np.asarray(one) for one in found)
    return Transition(low, high, belief, -slope, grammar.branching)


def critical(found: Transition, *, first: int, last: int) -> Critical:
    """Averages over the populations of a :class:`Transition`.

    Args:
        found: at least two populations.
        first: the first level whose beliefs count as critical. The leaves' are not: they start at
            1 - noise + noise/v.
        last: the last such level; near the root the beliefs leave the critical ones.

    Raises: ``TypeError`` or ``ValueError`` that names the argument.
    """
    levels = found.belief.shape[-1]
    first = checks.whole("first", first)
    last = checks.whole("last", last, least=first + 1)
    if last >= levels:
        raise ValueError(f"last must be below {levels}, the number of levels, got {last}")
    if found.low.ndim != 1 or len(found.low) < 2:
        raise ValueError(f"found must have two populations or more, got shape {found.low.shape}")
    noise = (found.low + found.high) / 2
    belief = found.belief[:, first : last + 1].mean(-1)
    growth = np.log(found.slope[:, last] / found.slope[:, first]) / (last - first)
    exponent = math.log(found.branching) / growth.mean()
    return Critical(
        noise=noise.mean(),
        noise_error=_error(noise),
        spread=noise.std(ddof=1),
        belief=belief.mean(),
        belief_error=_error(belief),
        exponent=exponent,
        exponent_error=exponent * _error(growth) / growth.mean(),
    )


def _error(values: np.ndarray) -> float:
    return values.std(ddof=1) / math.sqrt(len(values))


@functools.partial(jax.jit, static_argnames="size")
def _beliefs(key: Array, grammar: Grammar, level: Array, *, size: int) -> Beliefs:
    found = jax.lax.map(lambda one: _climb(key, grammar, one, size), level.ravel())
    return jax.tree.map(lambda array: array.reshape(*level.shape, *array.shape[1:]), found)


@functools.partial(jax.jit, static_argnames=("numbers", "size"))
def _transitions(
    _: tuple, rows: Array, *, numbers: tuple[tuple[str, int], ...], size: int
) -> tuple[Array, Array, Array, Array]:
    """Of random grammars, one for the key in each row."""

    def one(row):
        key = jax.random.wrap_key_data(row)
        return _transition(key, Grammar.random(key, **dict(numbers)), size=size)

    return jax.lax.map(one, rows)


@functools.partial(jax.jit, static_argnames="size")
def _transition(key: Array, grammar: Grammar, *, size: int) -> tuple[Array, Array, Array, Array]:
    dtype = jnp.zeros(()).dtype
    recovered = (1 + 1 / grammar.vocabulary) / 2

    def mean(level):
        return _climb(key, grammar, level, size).mean

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        kept = mean(middle)[-1] > recovered
        return jnp.where(kept, middle, low), jnp.where(kept, high, middle)

    low, high = jax.lax.fori_loop(0, BISECTIONS, halve, (jnp.zeros((), dtype), jnp.ones((), dtype)))
    belief, slope = jax.jvp(mean, ((low + high) / 2,), (jnp.ones((), dtype),))
    return low, high, belief, slope


def _climb(key: Array, grammar: Grammar, level: Array, size: int) -> Beliefs:
    """One pass upwards. Messages are rows, ``size * rules`` of each symbol one after the other."""
    vocabulary, rules, branching = grammar.rules.shape[1:]
    count = size * rules
    block = max(LEAST_BLOCK, ENTRIES_IN_CACHE // (vocabulary * branching))
    own = jnp.repeat(jnp.arange(vocabulary), count)
    rule = jnp.tile(jnp.arange(rules), vocabulary * size)
    # A number that is traced is divided by, as in the epsilon-process.
    leaves = (1 - level) * jnp.eye(vocabulary, dtype=level.dtype) + level / vocabulary

    def up(messages, step):
        table, key = step
        chosen = jax.random.randint(key, (len(own), branching), 0, count)

        def parents_of(rows):
            parents, _ = combine(table, messages[rows].transpose(2, 1, 0))
            return (parents[:, 0] / parents[:, 0].sum(0)).T

        parents = in_blocks(parents_of, block, table[own, rule] * count + chosen)
        return parents, _summary(parents, own)

    start = jnp.repeat(leaves, count, axis=0)
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(len(grammar.rules)))
    messages, above = jax.lax.scan(up, start, (grammar.rules, keys))
    below = _summary(start, own)
    mean, deviation = (
        jnp.concatenate([one[None], others]) for one, others in zip(below, above, strict=True)
    )
    return Beliefs(mean, deviation, messages.reshape(vocabulary, count, vocabulary))


def _summary(messages: Array, own: Array) -> tuple[Array, Array]:
    """Mean and standard deviation of the probability of the own symbol."""
    belief = jnp.take_along_axis(messages, own[:, None], 1)[:, 0]
    return belief.mean(), belief.std()
