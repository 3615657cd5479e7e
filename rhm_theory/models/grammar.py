"""The Random Hierarchy Model: an unambiguous grammar of fixed depth, and the trees that it derives.

Level ``depth`` is the root, level 0 the ``length = branching ** depth`` leaves. Arrays that hold one entry a level start at
the bottom; nodes of a level are numbered from left to right.
"""

import dataclasses
import functools
import math
import os
import zipfile
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Bool, Float, Int

from theory_common import checks, precision
from theory_common.claims import backed_by
from theory_common.printing.display import readable

# Up to this many tuples for each one that is wanted, shuffling them all is cheap; beyond, few draws repeat.
SHUFFLED_TUPLES_PER_DRAW = 4


@readable()
class Tree(NamedTuple):
    """Derivations: the symbol of every node and the rule that rewrote it.

    ``symbols[level]`` is ``(*batch, branching ** (depth - level))``, leaves first; ``rules[level - 1]``, of the same shape as
    ``symbols[level]``, counts among the rules of that symbol.
    """

    symbols: tuple[Int[Array, "*batch nodes"], ...]
    rules: tuple[Int[Array, "*batch parents"], ...]

    @property
    def leaves(self) -> Int[Array, "*batch length"]:
        """The sequence."""
        return self.symbols[0]

    @property
    def root(self) -> Int[Array, "*batch"]:
        """The class."""
        return self.symbols[-1][..., 0]


@jax.tree_util.register_pytree_node_class
@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Grammar:
    r"""Rewriting rules, the same for all nodes of a level: a symbol becomes one of :math:`m` tuples, each with probability :math:`1/m`.

    The root is uniform over the :math:`v` symbols. *Unambiguous*: the :math:`m v` tuples of a level are distinct, so that each sequence
    has at most one derivation; hence :math:`m \le v^{s-1}`.

    Args:
        rules: integers ``(depth, vocabulary, rules_per_symbol, branching)``, bottom level first:
            ``rules[level - 1, a, k]`` are the children, from left to right, of a node of ``level`` with symbol ``a`` under its rule ``k``.
            Branching is at least 2, symbols are below ``vocabulary``.

    A frozen pytree whose one leaf is ``rules``. Stack grammars of one shape with ``jax.tree.map(lambda *r: jnp.stack(r), *grammars)`` and
    ``vmap`` over them. Checks run on concrete rules only.

    Raises: ``TypeError`` or ``ValueError`` naming the level, the symbols and the tuple that break a rule.
    Source: Cagnetta et al., arXiv:2307.02129; *Probing the Latent Hierarchical Structure of Data via Diffusion Models*, section 3.1.
    """

    rules: Int[Array, "depth vocabulary rules_per_symbol branching"]

    def __init__(self, rules: Int[ArrayLike, "depth vocabulary rules_per_symbol branching"]):
        vars(self).update(rules=_checked_rules(rules))

    def tree_flatten(self):
        return (self.rules,), None

    @classmethod
    def tree_unflatten(cls, _, leaves):
        # JAX rebuilds pytrees around tracers, None and shape structs: a check here would raise inside vmap.
        new = object.__new__(cls)
        vars(new).update(rules=leaves[0])
        return new

    @classmethod
    def random(
        cls, key: Array, *, depth: int, vocabulary: int, rules_per_symbol: int, branching: int
    ) -> "Grammar":
        """Each level's tuples uniform without replacement among the ``vocabulary ** branching``, however many these are.

        Works inside jit and vmap over keys. Errors name a size that does not fit.
        """
        shape = _sizes(depth, vocabulary, rules_per_symbol, branching)
        keys = jax.vmap(functools.partial(jax.random.fold_in, checks.key("key", key)))(
            jnp.arange(1, depth + 1)
        )
        return cls(
            _distinct_tuples(keys, vocabulary * rules_per_symbol, vocabulary, branching).reshape(
                shape
            )
        )

    @classmethod
    def affine(
        cls,
        depth: int,
        vocabulary: int,
        rules_per_symbol: int,
        branching: int,
        *,
        multiplier: int,
        offset: int,
    ) -> "Grammar":
        r"""A grammar without random numbers, for reference values.

        At level :math:`\ell` the tuple of symbol :math:`a`, rule :math:`k` is the base-:math:`v` expansion (most significant digit
        leftmost) of :math:`((a m + k)\, g + o\, \ell) \bmod v^s`, with multiplier :math:`g`, prime to :math:`v`, and offset :math:`o`.
        """
        shape = _sizes(depth, vocabulary, rules_per_symbol, branching)
        multiplier, offset = (
            checks.whole("multiplier", multiplier, least=1),
            checks.whole("offset", offset),
        )
        if math.gcd(multiplier, vocabulary) != 1:
            raise ValueError(
                f"multiplier must be prime to vocabulary = {vocabulary}, or tuples would repeat; got {multiplier}"
            )
        # Python's integers: vocabulary ** branching may be beyond 64 bits.
        codes = [
            (number * multiplier + offset * level) % vocabulary**branching
            for level in range(1, depth + 1)
            for number in range(vocabulary * rules_per_symbol)
        ]
        digits = [
            [code // vocabulary**place % vocabulary for place in reversed(range(branching))]
            for code in codes
        ]
        return cls(np.array(digits).reshape(shape))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Grammar":
        """The grammar that :meth:`save` wrote, checked anew; ``ValueError`` for another file."""
        wanted = f"{os.fspath(path)} must be an .npz file with an array named rules"
        with open(path, "rb") as file:  # given a name, NumPy would leave a damaged file open
            try:
                found = np.load(file, allow_pickle=False)
                rules = (
                    found["rules"]
                    if isinstance(found, np.lib.npyio.NpzFile) and "rules" in found
                    else None
                )
            except (ValueError, EOFError, zipfile.BadZipFile) as error:
                raise ValueError(f"{wanted}: {error}") from None
        if rules is None:
            raise ValueError(wanted)
        return cls(rules)

    def save(self, path: str | os.PathLike) -> None:
        """Write the rules to ``path`` (.npz), for :meth:`load`."""
        with (
            open(path, "wb") as file
        ):  # given a name, NumPy would append a suffix, and loading by the same name would fail
            np.savez_compressed(file, rules=np.asarray(self.rules))

    @property
    def depth(self) -> int:
        """Levels of rules: the root is at this level."""
        return self.rules.shape[-4]

    @property
    def vocabulary(self) -> int:
        """Symbols of each level."""
        return self.rules.shape[-3]

    @property
    def rules_per_symbol(self) -> int:
        """Tuples that each symbol may become."""
        return self.rules.shape[-2]

    @property
    def branching(self) -> int:
        """Children of each node."""
        return self.rules.shape[-1]

    @property
    def length(self) -> int:
        """Leaves of a tree."""
        return self.branching**self.depth

    def nodes(self, level: int) -> int:
        """Nodes at ``level``."""
        return self.branching ** (self.depth - level)

    @property
    def inner_nodes(self) -> int:
        """Nodes above the leaves, each rewritten by one rule."""
        return (self.length - 1) // (self.branching - 1)

    def __repr__(self) -> str:
        if not hasattr(self.rules, "shape"):  # inside a pytree of other things than arrays
            return f"Grammar({self.rules!r})"
        sizes = ("depth", "vocabulary", "rules_per_symbol", "branching")
        return f"Grammar({', '.join(f'{name}={getattr(self, name)}' for name in sizes)})"

    @backed_by("rhm-joint-sampling")
    def sample(
        self, key: Array, shape: tuple[int, ...] = (), root: Int[ArrayLike, "*#shape"] | None = None
    ) -> Tree:
        """Trees of batch ``shape``: the root uniform, or the given class, then a rule for each node from the root to the leaves.

        Claim: ``rhm-joint-sampling``.
        """
        key, shape = checks.key("key", key), checks.sizes("shape", shape)
        if root is not None:
            root = symbols_in("root", root, self.vocabulary)
            if checks.common_shape(root=root.shape, shape=shape) != shape:
                raise ValueError(f"root must broadcast to shape = {shape}, got {root.shape}")
            root = jnp.broadcast_to(root, shape)
        return _sample(self, key, root, shape=shape)

    def derive(
        self, root: Int[ArrayLike, "*batch"], rules: tuple[Int[ArrayLike, "*batch parents"], ...]
    ) -> Tree:
        """The tree that grows from ``root`` by the rules given for each node, bottom level first, as :class:`Tree` has them.

        Batch dimensions broadcast.
        """
        root = symbols_in("root", root, self.vocabulary)
        if not isinstance(rules, (tuple, list)) or len(rules) != self.depth:
            got = len(rules) if isinstance(rules, (tuple, list)) else type(rules).__name__
            raise ValueError(
                f"rules must be {self.depth} arrays, one a level and the bottom one first, got {got}"
            )
        chosen = [
            symbols_in(f"rules[{index}]", rule, self.rules_per_symbol)
            for index, rule in enumerate(rules)
        ]
        for level, rule in enumerate(chosen, start=1):
            if rule.shape[-1:] != (self.nodes(level),):
                raise ValueError(
                    f"rules[{level - 1}] must have a last axis of {self.nodes(level)} nodes, got shape {rule.shape}"
                )
        batch = checks.common_shape(
            root=root.shape,
            **{f"rules[{index}]": rule.shape[:-1] for index, rule in enumerate(chosen)},
        )
        return _derive(
            self,
            jnp.broadcast_to(root, batch),
            tuple(jnp.broadcast_to(rule, (*batch, rule.shape[-1])) for rule in chosen),
        )

    def reference_start(self, root: Int[ArrayLike, "*batch"] = 0) -> Tree:
        """A tree without random numbers: node ``j`` (from 0, left to right) of a level uses rule ``(j + level) mod rules_per_symbol``."""
        root = symbols_in("root", root, self.vocabulary)
        numbers = (np.arange(self.nodes(level)) + level for level in range(1, self.depth + 1))
        return self.derive(
            root,
            tuple(
                np.broadcast_to(number % self.rules_per_symbol, (*root.shape, number.size))
                for number in numbers
            ),
        )

    def parse(self, leaves: Int[ArrayLike, "*batch length"]) -> Tree:
        """The only derivation of each sequence.

        Raises: ``ValueError`` naming the nodes whose symbols no rule gives, if a sequence is not in the language. A traced one cannot
        raise: each node that derives nothing, and with it those above, has symbol and rule -1.
        """
        leaves = self.sequences("leaves", leaves)
        tree = _parse(self, leaves)
        if not checks.is_traced(tree.leaves):
            self._require_derived(tree)
        return tree

    def contains(self, leaves: Int[ArrayLike, "*batch length"]) -> Bool[Array, "*batch"]:
        """Whether each sequence is in the language."""
        return _parse(self, self.sequences("leaves", leaves)).root >= 0

    @backed_by("rhm-joint-sampling")
    def log_probability(self, leaves: Int[ArrayLike, "*batch length"]) -> Float[Array, "*batch"]:
        r"""Log probability of each sequence: :math:`-\ln v - \ln(m)\,(s^L-1)/(s-1)`, one factor for the root and one a rule, or -inf.

        Claim: ``rhm-joint-sampling``.
        """
        value = -math.log(self.vocabulary) - self.inner_nodes * math.log(self.rules_per_symbol)
        return jnp.where(self.contains(leaves), precision.working(value), -jnp.inf)

    def sequences(
        self, name: str, leaves: Int[ArrayLike, "*batch length"]
    ) -> Int[Array, "*batch length"]:
        """``leaves``, or those of a :class:`Tree`, as symbols of this grammar, one for each leaf; the error names the argument."""
        leaves = symbols_in(name, leaves_of(leaves), self.vocabulary)
        if leaves.shape[-1:] != (self.length,):
            raise ValueError(
                f"{name} must have a last axis of {self.length} = {self.branching}**{self.depth} leaves, got shape {leaves.shape}"
            )
        return leaves

    def _require_derived(self, tree: Tree) -> None:
        for level, symbols in enumerate(tree.symbols[1:], start=1):
            bad = np.argwhere(np.asarray(symbols) < 0)
            if len(bad):
                *batch, node = bad[0].tolist()
                children = np.asarray(tree.symbols[level - 1])[
                    *batch, node * self.branching : (node + 1) * self.branching
                ]
                place = f"nodes {node * self.branching} to {(node + 1) * self.branching - 1} of level {level - 1}"
                index = f" at index {tuple(batch)}" if batch else ""
                raise ValueError(
                    f"leaves are not in the language{index}: {place} have the symbols {tuple(children.tolist())}, "
                    f"which no rule of level {level} gives"
                )


def require_grammar(grammar) -> None:
    """``TypeError`` unless it is a :class:`Grammar`."""
    if not isinstance(grammar, Grammar):
        raise TypeError(f"grammar must be a Grammar, got {type(grammar).__name__}")


def leaves_of(start):
    """``start`` itself, a sequence or many, or the leaves of a :class:`Tree`."""
    return start.leaves if isinstance(start, Tree) else start


def symbols_in(name: str, value, count: int) -> Int[Array, "*shape"]:
    """``value`` as int32, ``TypeError`` unless integers, ``ValueError`` that names the first that is not in ``0 .. count - 1``."""
    value = as_array(name, value)
    if not jnp.issubdtype(value.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got {value.dtype}")
    if not checks.is_traced(value):
        concrete = np.asarray(value)  # before int32, which would wrap
        bad = np.argwhere((concrete < 0) | (concrete >= count))
        if len(bad):
            index = tuple(bad[0].tolist())
            place = f" at index {index}" if index else ""
            raise ValueError(f"{name} must be in 0 .. {count - 1}, got {concrete[index]}{place}")
    return jnp.asarray(value, jnp.int32)


def as_array(name: str, value, entries: str = "integers"):
    """``value`` as an array of NumPy or JAX; ``TypeError`` for ragged lists."""
    if isinstance(value, jax.Array):  # traced ones too
        return value
    try:
        return np.asarray(value)
    except ValueError as error:
        raise TypeError(f"{name} must be {entries} in a rectangular array: {error}") from None


def _sizes(
    depth: int, vocabulary: int, rules_per_symbol: int, branching: int
) -> tuple[int, int, int, int]:
    """The shape of the rules, if such a grammar can exist."""
    checks.whole("depth", depth, least=1)
    checks.whole("vocabulary", vocabulary, least=1)
    checks.whole("rules_per_symbol", rules_per_symbol, least=1)
    checks.whole("branching", branching, least=2)
    if rules_per_symbol > vocabulary ** (branching - 1):
        raise ValueError(
            f"rules_per_symbol must be <= vocabulary ** (branching - 1) = {vocabulary ** (branching - 1)}, "
            f"or two symbols would share a tuple; got {rules_per_symbol}"
        )
    return depth, vocabulary, rules_per_symbol, branching


def _checked_rules(rules) -> Int[Array, "depth vocabulary rules_per_symbol branching"]:
    rules = as_array("rules", rules)
    shape = rules.shape
    if len(shape) != 4:
        raise ValueError(
            f"rules must have the axes (depth, vocabulary, rules_per_symbol, branching), got shape {shape}"
        )
    _sizes(*shape)
    rules = symbols_in("rules", rules, shape[1])
    if not checks.is_traced(rules):
        for level, table in enumerate(np.asarray(rules), start=1):
            _require_unambiguous(level, table)
    return rules


def _require_unambiguous(level: int, table: np.ndarray) -> None:
    tuples = table.reshape(-1, table.shape[-1])
    order = np.lexsort(tuples.T)
    repeated = np.flatnonzero((tuples[order[1:]] == tuples[order[:-1]]).all(-1))
    if len(repeated):
        first, second = (divmod(int(order[repeated[0] + step]), table.shape[1]) for step in (0, 1))
        raise ValueError(
            f"rules must be unambiguous: at level {level} symbol {first[0]} (rule {first[1]}) and symbol {second[0]} "
            f"(rule {second[1]}) both become {tuple(table[first].tolist())}"
        )


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
@functools.partial(jax.vmap, in_axes=(0, None, None, None))
def _distinct_tuples(
    key: Array, count: int, vocabulary: int, branching: int
) -> Int[Array, "count branching"]:
    """A uniform sequence of ``count`` distinct tuples.

    Where nearly all are wanted: the first of a shuffle. Else draw, and draw again those that repeat an earlier one, until none does.
    That is uniform too: tuples are only compared for equality, so any relabelling of the tuples leaves the law as it is, and relabellings
    take every sequence of distinct tuples to every other.
    """
    total = vocabulary**branching
    if total <= SHUFFLED_TUPLES_PER_DRAW * count:
        codes = jax.random.permutation(key, total)[:count]
        return jnp.stack(
            [codes // vocabulary**place % vocabulary for place in reversed(range(branching))], -1
        )

    def draw_again(state):
        key, tuples, repeated = state
        key, now = jax.random.split(key)
        tuples = jnp.where(
            repeated[:, None],
            jax.random.randint(now, tuples.shape, 0, vocabulary, jnp.int32),
            tuples,
        )
        return key, tuples, _repeats_earlier(tuples, vocabulary)

    start = key, jnp.zeros((count, branching), jnp.int32), jnp.ones(count, bool)
    return jax.lax.while_loop(lambda state: state[2].any(), draw_again, start)[1]


def _repeats_earlier(
    tuples: Int[Array, "count branching"], vocabulary: int
) -> Bool[Array, " count"]:
    numbers = jnp.arange(len(tuples))
    ranks, _ = _ranks(tuples, vocabulary)
    first = jnp.full_like(numbers, len(tuples)).at[ranks].min(numbers)
    return first[ranks] < numbers


def _ranks(
    tuples: Int[Array, "count branching"], vocabulary: int
) -> tuple[Int[Array, " count"], Int[Array, "branching count"]]:
    """The rank of each tuple in the order of the alphabet, equal ones alike; and the sorted names of all prefixes of 1, 2, ... symbols.

    A prefix is named by the rank of the shorter one and its last symbol: no name exceeds vocabulary * count, while the number of a whole
    tuple may not fit 64 bits.
    """

    def longer(ranks, symbols):
        names = ranks * vocabulary + symbols
        ordered = jnp.sort(names)
        return jnp.searchsorted(ordered, names).astype(jnp.int32), ordered

    return jax.lax.scan(longer, jnp.zeros(len(tuples), jnp.int32), tuples.T)


@jax.jit
def _derive(
    grammar: Grammar, root: Int[Array, "*batch"], rules: tuple[Int[Array, "*batch parents"], ...]
) -> Tree:
    symbols = [root[..., None]]
    for table, rule in zip(grammar.rules[::-1], rules[::-1], strict=True):
        *batch, nodes, branching = (children := table[symbols[-1], rule]).shape
        symbols.append(children.reshape(*batch, nodes * branching))
    return Tree(tuple(symbols[::-1]), rules)


@functools.partial(jax.jit, static_argnames="shape")
def _sample(
    grammar: Grammar, key: Array, root: Int[Array, "*shape"] | None, *, shape: tuple[int, ...]
) -> Tree:
    for_root, for_rules = jax.random.split(key)
    if root is None:
        root = jax.random.randint(for_root, shape, 0, grammar.vocabulary, jnp.int32)
    # One draw for the rules of all levels: a generator for each would compile as often.
    rules = jax.random.randint(
        for_rules, (*shape, grammar.inner_nodes), 0, grammar.rules_per_symbol, jnp.int32
    )
    ends = np.cumsum([grammar.nodes(level) for level in range(1, grammar.depth + 1)])
    return _derive(grammar, root, tuple(jnp.split(rules, ends[:-1], axis=-1)))


@jax.jit
def _parse(grammar: Grammar, leaves: Int[Array, "*batch length"]) -> Tree:
    tuples = grammar.rules.reshape(grammar.depth, -1, grammar.branching)
    ranks, names = jax.vmap(_ranks, (0, None))(tuples, grammar.vocabulary)
    symbols, rules = [leaves], []
    for known, order in zip(names, jnp.argsort(ranks), strict=True):
        children = symbols[-1].reshape(
            *leaves.shape[:-1], symbols[-1].shape[-1] // grammar.branching, grammar.branching
        )
        rank = _rank_among(known, children, grammar.vocabulary)
        symbols.append(jnp.where(rank < 0, -1, order[rank] // grammar.rules_per_symbol))
        rules.append(jnp.where(rank < 0, -1, order[rank] % grammar.rules_per_symbol))
    return Tree(tuple(symbols), tuple(rules))


def _rank_among(
    names: Int[Array, "branching count"], tuples: Int[Array, "*batch branching"], vocabulary: int
) -> Int[Array, "*batch"]:
    """The rank of each tuple among those that have these ``names`` (see :func:`_ranks`), by binary search; -1 where it is none of them."""

    def longer(carry, place):
        rank, found = carry
        known, symbol = place
        name = rank * vocabulary + symbol
        rank = jnp.minimum(jnp.searchsorted(known, name), len(known) - 1).astype(jnp.int32)
        return (rank, found & (known[rank] == name)), None

    # A symbol out of range would pass for another behind another prefix.
    start = (
        jnp.zeros(tuples.shape[:-1], jnp.int32),
        jnp.all((tuples >= 0) & (tuples < vocabulary), -1),
    )
    (rank, found), _ = jax.lax.scan(longer, start, (names, jnp.moveaxis(tuples, -1, 0)))
    return jnp.where(found, rank, -1)
