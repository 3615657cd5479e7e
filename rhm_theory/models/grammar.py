"""The Random Hierarchy Model: an unambiguous grammar of fixed depth, and the trees that it derives.

Level ``depth`` is the root, level 0 the ``length = branching ** depth`` leaves. Arrays that hold
one entry a level start at the bottom. Nodes of a level are numbered from left to right.
"""

import dataclasses
import functools
import math
import os
import zipfile
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import ArrayLike, Bool, Float, Int

from theory_common import checks, precision
from theory_common.claims import backed_by
from theory_common.printing.display import readable
from theory_common.pytrees import pytree

# If there are at most this many tuples for each one that is wanted, shuffling them all is cheap.
# If there are more, few draws repeat.
SHUFFLED_TUPLES_PER_DRAW = 4


@readable()
class Tree(NamedTuple):
    """Derivations: the symbol of every node and the rule that rewrote it.

    Attributes:
        symbols: one array ``(*batch, branching ** (depth - level))`` a level, leaves first.
        rules: ``rules[level - 1]`` has the shape of ``symbols[level]``. It is the number of the
            rule among the rules of that symbol.
    """

    symbols: tuple[Int[Array, "*batch _nodes"], ...]
    rules: tuple[Int[Array, "*batch _parents"], ...]

    @property
    def leaves(self) -> Int[Array, "*batch length"]:
        """The sequence."""
        return self.symbols[0]

    @property
    def root(self) -> Int[Array, "*batch"]:
        """The class."""
        return self.symbols[-1][..., 0]


@pytree()
@dataclasses.dataclass(frozen=True, init=False, eq=False, repr=False)
class Grammar:
    r"""Rewriting rules, the same for all nodes of a level.

    A symbol becomes one of :math:`m` tuples, each with probability :math:`1/m`. The root is uniform
    over the :math:`v` symbols. The grammar is *unambiguous*: the :math:`m v` tuples of a level are
    distinct, so each sequence has at most one derivation. Hence :math:`m \le v^{s-1}`.

    It is a frozen pytree whose one leaf is ``rules``. Stack grammars of one shape with
    ``jax.tree.map(lambda *r: jnp.stack(r), *grammars)`` and ``vmap`` over them. Only concrete rules
    are checked.

    Args:
        rules: integers ``(depth, vocabulary, rules_per_symbol, branching)``, bottom level first.
            ``rules[level - 1, a, k]`` are the children, from left to right, of a node of ``level``
            with symbol ``a`` under its rule ``k``. Branching is at least 2, symbols are below
            ``vocabulary``.

    Raises: ``TypeError`` or ``ValueError`` that names the level, the symbols and the tuple that
        break a rule.
    Source: Cagnetta et al., arXiv:2307.02129; *Probing the Latent Hierarchical Structure of Data
        via Diffusion Models*, section 3.1.
    """

    rules: Int[Array, "depth vocabulary rules_per_symbol branching"]

    def __init__(
        self, rules: Int[ArrayLike, "depth vocabulary rules_per_symbol branching"] | Sequence
    ) -> None:
        vars(self).update(rules=_checked_rules(rules))

    @classmethod
    def random(
        cls, key: Array, *, depth: int, vocabulary: int, rules_per_symbol: int, branching: int
    ) -> "Grammar":
        """Tuples of each level drawn without replacement, uniformly among all of them.

        It works inside jit, and under vmap over keys.

        Args:
            key: of the rules.
            depth: levels of rules, at least 1.
            vocabulary: symbols of each level, at least 1.
            rules_per_symbol: tuples that each symbol may become, at least 1 and at most
                ``vocabulary ** (branching - 1)``.
            branching: symbols of a tuple, at least 2.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        shape = _sizes(depth, vocabulary, rules_per_symbol, branching)
        return cls(_random_rules(checks.key("key", key), shape))

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

        At level :math:`\ell` the tuple of symbol :math:`a`, rule :math:`k` is the number
        :math:`((a m + k)\, g + o\, \ell) \bmod v^s`, written in base :math:`v` with the most
        significant digit leftmost.

        Args:
            depth: as :meth:`random` takes it, and so the next three.
            vocabulary: :math:`v`.
            rules_per_symbol: :math:`m`.
            branching: :math:`s`.
            multiplier: :math:`g`, prime to :math:`v`.
            offset: :math:`o`, at least 0.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        """
        shape = _sizes(depth, vocabulary, rules_per_symbol, branching)
        multiplier = checks.whole("multiplier", multiplier, least=1)
        offset = checks.whole("offset", offset)
        if math.gcd(multiplier, vocabulary) != 1:
            raise ValueError(
                f"multiplier must be prime to vocabulary = {vocabulary}, or tuples would repeat; "
                f"got {multiplier}"
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
        """The grammar that :meth:`save` wrote to ``path``, checked anew.

        Raises: ``OSError`` if it cannot be read, ``ValueError`` for another file.
        """
        wanted = f"{os.fspath(path)} must be an .npz file with an array named rules"
        # Given a name, NumPy would leave a damaged file open.
        with open(path, "rb") as file:
            try:
                found = np.load(file, allow_pickle=False)
                packed = isinstance(found, np.lib.npyio.NpzFile) and "rules" in found
                rules = found["rules"] if packed else None
            except (ValueError, EOFError, zipfile.BadZipFile) as error:
                raise ValueError(f"{wanted}: {error}") from None
        if rules is None:
            raise ValueError(wanted)
        return cls(rules)

    def save(self, path: str | os.PathLike) -> None:
        """Write the rules to ``path`` (.npz), for :meth:`load`; ``OSError`` if that fails."""
        # Given a name, NumPy would append a suffix, and loading by the same name would fail.
        with open(path, "wb") as file:
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
        self,
        key: Array,
        shape: tuple[int, ...] = (),
        root: Int[ArrayLike, "*#shape"] | Sequence | None = None,
    ) -> Tree:
        """Independent trees: first the root, then a rule for each node from the root to the leaves.

        Args:
            key: of the trees.
            shape: of the batch.
            root: the class of each tree, broadcast to ``shape``; uniform by default.

        Raises: ``TypeError`` or ``ValueError`` that names the argument.
        Claim: ``rhm-joint-sampling``.
        """
        key, shape = checks.key("key", key), checks.sizes("shape", shape)
        if root is not None:
            root = symbols_in("root", root, self.vocabulary)
            if checks.common_shape(root=root.shape, shape=shape) != shape:
                raise ValueError(f"root must broadcast to shape = {shape}, got {root.shape}")
            root = jnp.broadcast_to(root, shape)
        return _sample_derivations(self, key, root, shape=shape)

    def derive(
        self,
        root: Int[ArrayLike, "*batch"] | Sequence,
        rules: tuple[Int[ArrayLike, "*batch _parents"], ...],
    ) -> Tree:
        """The tree that grows from ``root`` by the rules given for each node.

        Args:
            root: the class of each tree, ``(*batch,)``.
            rules: one array a level, the bottom one first, as :class:`Tree` has them. Their last
                axes are the nodes of the level. Batches broadcast.

        Raises: ``TypeError`` or ``ValueError`` that names ``root`` or the level of ``rules``.
        """
        root = symbols_in("root", root, self.vocabulary)
        chosen = self._rules_by_level(rules)
        shapes = {f"rules[{index}]": rule.shape[:-1] for index, rule in enumerate(chosen)}
        batch = checks.common_shape(root=root.shape, **shapes)
        broadcast = [jnp.broadcast_to(rule, (*batch, rule.shape[-1])) for rule in chosen]
        return _derive(self, jnp.broadcast_to(root, batch), tuple(broadcast))

    def _rules_by_level(self, rules) -> list[Int[Array, "*batch _parents"]]:
        if not isinstance(rules, (tuple, list)) or len(rules) != self.depth:
            got = len(rules) if isinstance(rules, (tuple, list)) else type(rules).__name__
            raise ValueError(
                f"rules must be {self.depth} arrays, one a level and the bottom one first, "
                f"got {got}"
            )
        chosen = []
        for level, rule in enumerate(rules, start=1):
            name = f"rules[{level - 1}]"
            rule = symbols_in(name, rule, self.rules_per_symbol)
            if rule.shape[-1:] != (self.nodes(level),):
                raise ValueError(
                    f"{name} must have a last axis of {self.nodes(level)} nodes, "
                    f"got shape {rule.shape}"
                )
            chosen.append(rule)
        return chosen

    def reference_start(self, root: Int[ArrayLike, "*batch"] | Sequence = 0) -> Tree:
        """A tree without random numbers, for reference values.

        Node ``j`` (from 0, left to right) of a level uses rule
        ``(j + level) mod rules_per_symbol``.

        Args: root: the class of each tree, any batch.
        Raises: ``TypeError`` or ``ValueError`` that names ``root``.
        """
        root = symbols_in("root", root, self.vocabulary)
        rules = []
        for level in range(1, self.depth + 1):
            number = (np.arange(self.nodes(level)) + level) % self.rules_per_symbol
            rules.append(np.broadcast_to(number, (*root.shape, number.size)))
        return self.derive(root, tuple(rules))

    def parse(self, leaves: Int[ArrayLike, "*batch length"]) -> Tree:
        """The only derivation of each sequence.

        Args: leaves: the sequences.
        Raises: ``TypeError`` or ``ValueError`` that names ``leaves``; for a sequence that is not in
            the language, also the nodes whose symbols no rule gives. A traced sequence cannot
            raise: each node that derives nothing, and all nodes above it, have symbol and rule -1.
        """
        leaves = self.sequences("leaves", leaves)
        tree = _parse(self, leaves)
        if not checks.is_traced(tree.leaves):
            self._require_derived(tree)
        return tree

    def contains(self, leaves: Int[ArrayLike, "*batch length"]) -> Bool[Array, "*batch"]:
        """Whether each sequence is in the language; errors name ``leaves``."""
        return _parse(self, self.sequences("leaves", leaves)).root >= 0

    @backed_by("rhm-joint-sampling")
    def log_probability(self, leaves: Int[ArrayLike, "*batch length"]) -> Float[Array, "*batch"]:
        r"""Log probability of each sequence, :math:`-\ln v - \ln(m)\,(s^L-1)/(s-1)` or -inf.

        It has one factor for the root and one for each rule. Outside the language it is -inf.

        Args: leaves: the sequences.
        Raises: ``TypeError`` or ``ValueError`` that names ``leaves``.
        Claim: ``rhm-joint-sampling``.
        """
        value = -math.log(self.vocabulary) - self.inner_nodes * math.log(self.rules_per_symbol)
        return jnp.where(self.contains(leaves), precision.working(value), -jnp.inf)

    def sequences(
        self, name: str, leaves: Int[ArrayLike, "*batch length"] | Tree
    ) -> Int[Array, "*batch length"]:
        """``leaves``, or those of a :class:`Tree`, as symbols of this grammar, one for each leaf.

        Raises: ``TypeError`` or ``ValueError`` that calls the argument ``name``.
        """
        leaves = symbols_in(name, leaves_of(leaves), self.vocabulary)
        if leaves.shape[-1:] != (self.length,):
            raise ValueError(
                f"{name} must have a last axis of {self.length} = "
                f"{self.branching}**{self.depth} leaves, got shape {leaves.shape}"
            )
        return leaves

    def _require_derived(self, tree: Tree) -> None:
        for level, symbols in enumerate(tree.symbols[1:], start=1):
            bad = np.argwhere(np.asarray(symbols) < 0)
            if not len(bad):
                continue
            *batch, node = bad[0].tolist()
            first = node * self.branching
            end = first + self.branching
            children = np.asarray(tree.symbols[level - 1])[*batch, first:end]
            index = f" at index {tuple(batch)}" if batch else ""
            raise ValueError(
                f"leaves are not in the language{index}: nodes {first} to {end - 1} of level "
                f"{level - 1} have the symbols {tuple(children.tolist())}, "
                f"which no rule of level {level} gives"
            )


def require_grammar(grammar: Grammar) -> None:
    """``TypeError`` unless it is a :class:`Grammar`."""
    if not isinstance(grammar, Grammar):
        raise TypeError(f"grammar must be a Grammar, got {type(grammar).__name__}")


def leaves_of(start: Int[ArrayLike, "*batch length"] | Tree) -> Int[ArrayLike, "*batch length"]:
    """``start`` itself, a sequence or many, or the leaves of a :class:`Tree`."""
    return start.leaves if isinstance(start, Tree) else start


def symbols_in(
    name: str, value: Int[ArrayLike, "*shape"] | Sequence, count: int
) -> Int[Array, "*shape"]:
    """``value`` as int32.

    Raises: ``TypeError`` unless it is integers; ``ValueError`` that names the first one that is not
        in ``0 .. count - 1``.
    """
    value = as_array(name, value)
    if not jnp.issubdtype(value.dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got {value.dtype}")
    if not checks.is_traced(value):
        # Before int32, which would wrap.
        concrete = np.asarray(value)
        bad = np.argwhere((concrete < 0) | (concrete >= count))
        if len(bad):
            index = tuple(bad[0].tolist())
            place = f" at index {index}" if index else ""
            raise ValueError(f"{name} must be in 0 .. {count - 1}, got {concrete[index]}{place}")
        if isinstance(value, jax.Array) and value.dtype == jnp.int32:
            return value
        return jnp.asarray(concrete.astype(np.int32))
    return jnp.asarray(value, jnp.int32)


def as_array(name: str, value: Any, entries: str = "integers") -> Array | np.ndarray:
    """``value`` as an array of NumPy or JAX, maybe traced; ``TypeError`` for ragged lists."""
    if isinstance(value, jax.Array):
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
            "rules_per_symbol must be <= vocabulary ** (branching - 1) = "
            f"{vocabulary ** (branching - 1)}, or two symbols would share a tuple; "
            f"got {rules_per_symbol}"
        )
    return depth, vocabulary, rules_per_symbol, branching


def _checked_rules(rules) -> Int[Array, "depth vocabulary rules_per_symbol branching"]:
    rules = as_array("rules", rules)
    shape = rules.shape
    if len(shape) != 4:
        raise ValueError(
            "rules must have the axes (depth, vocabulary, rules_per_symbol, branching), "
            f"got shape {shape}"
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
            f"rules must be unambiguous: at level {level} symbol {first[0]} (rule {first[1]}) and "
            f"symbol {second[0]} (rule {second[1]}) both become {tuple(table[first].tolist())}"
        )


@functools.partial(jax.jit, static_argnums=1)
def _random_rules(
    key: Array, shape: tuple[int, int, int, int]
) -> Int[Array, "depth vocabulary rules_per_symbol branching"]:
    """Rules of this shape, each level with random numbers of its own."""
    depth, vocabulary, rules_per_symbol, branching = shape
    keys = jax.vmap(functools.partial(jax.random.fold_in, key))(jnp.arange(1, depth + 1))
    tuples = _distinct_tuples(keys, vocabulary * rules_per_symbol, vocabulary, branching)
    return tuples.reshape(shape)


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
@functools.partial(jax.vmap, in_axes=(0, None, None, None))
def _distinct_tuples(
    key: Array, count: int, vocabulary: int, branching: int
) -> Int[Array, "count branching"]:
    """A uniform sequence of ``count`` distinct tuples.

    If nearly all are wanted, they are the first of a shuffle. Else they are drawn, and those that
    repeat an earlier one are drawn again until none does. That is uniform too. Tuples are only
    compared for equality, so relabelling them leaves the law as it is, and relabellings take every
    sequence of distinct tuples to every other.
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
    """The rank of each tuple in the order of the alphabet, and the sorted names of all prefixes.

    Equal tuples have equal ranks. A prefix of 1, 2, ... symbols is named by the rank of the shorter
    one and its last symbol. So no name exceeds vocabulary * count, while the number of a whole
    tuple may not fit 64 bits.
    """

    def longer(ranks, symbols):
        names = ranks * vocabulary + symbols
        ordered = jnp.sort(names)
        return jnp.searchsorted(ordered, names).astype(jnp.int32), ordered

    return jax.lax.scan(longer, jnp.zeros(len(tuples), jnp.int32), tuples.T)


@jax.jit
def _derive(
    grammar: Grammar, root: Int[Array, "*batch"], rules: tuple[Int[Array, "*batch _parents"], ...]
) -> Tree:
    symbols = [root[..., None]]
    for table, rule in zip(grammar.rules[::-1], rules[::-1], strict=True):
        children = table[symbols[-1], rule]
        *batch, nodes, branching = children.shape
        symbols.append(children.reshape(*batch, nodes * branching))
    return Tree(symbols=tuple(symbols[::-1]), rules=rules)


@functools.partial(jax.jit, static_argnames="shape")
def _sample_derivations(
    grammar: Grammar, key: Array, root: Int[Array, "*shape"] | None, *, shape: tuple[int, ...]
) -> Tree:
    for_root, for_rules = jax.random.split(key)
    if root is None:
        root = jax.random.randint(for_root, shape, 0, grammar.vocabulary, jnp.int32)
    # One draw for the rules of all levels: a generator for each would have to be compiled.
    rules = jax.random.randint(
        for_rules, (*shape, grammar.inner_nodes), 0, grammar.rules_per_symbol, jnp.int32
    )
    ends = np.cumsum([grammar.nodes(level) for level in range(1, grammar.depth + 1)])
    return _derive(grammar, root, tuple(jnp.split(rules, ends[:-1], axis=-1)))


@jax.jit
def _parse(grammar: Grammar, leaves: Int[Array, "*batch length"]) -> Tree:
    tuples = grammar.rules.reshape(grammar.depth, -1, grammar.branching)
    ranks, names = jax.vmap(_ranks, (0, None))(tuples, grammar.vocabulary)
    symbols = [leaves]
    rules = []
    for known, order in zip(names, jnp.argsort(ranks), strict=True):
        children = symbols[-1].reshape(
            *leaves.shape[:-1], symbols[-1].shape[-1] // grammar.branching, grammar.branching
        )
        rank = _rank_among(known, children, grammar.vocabulary)
        symbols.append(jnp.where(rank < 0, -1, order[rank] // grammar.rules_per_symbol))
        rules.append(jnp.where(rank < 0, -1, order[rank] % grammar.rules_per_symbol))
    return Tree(symbols=tuple(symbols), rules=tuple(rules))


def _rank_among(
    names: Int[Array, "branching count"], tuples: Int[Array, "*batch branching"], vocabulary: int
) -> Int[Array, "*batch"]:
    """The rank of each tuple among those with these ``names`` (:func:`_ranks`), else -1."""

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
