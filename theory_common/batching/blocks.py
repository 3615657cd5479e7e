"""Many rows through one function, a block at a time: the arrays of a block fit a core's cache."""

import concurrent.futures
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import ArrayLike
from jaxtyping import Float

from theory_common import checks
from theory_common.batching import threads
from theory_common.checks import Numbers

MANY_ROWS = 2**16  # more rows are summed in blocks


def in_blocks(function: Callable[..., Any], size: int, *rows: Any) -> Any:
    """Apply ``function`` to the rows in equal blocks of at most ``size``, inside compiled code.

    The last block is padded by repeating the last row; the padding is dropped. Derivatives and vmap
    work as for ``function``.

    Args:
        function: treats each row by itself.
        rows: pytrees of arrays with one leading axis in common.
    """
    count = len(jax.tree.leaves(rows)[0])
    if count <= size:
        return function(*rows)
    blocks = -(-count // size)
    cut = functools.partial(_cut, shape=(blocks, -(-count // blocks)))
    done = jax.lax.map(lambda block: function(*block), jax.tree.map(cut, rows))
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count], done)


def summed(function: Callable[..., Any], *rows: Any, size: int = 2**9) -> Any:
    """``function(*rows)``, which is a sum over rows, of many rows summed over blocks of them.

    A block stays in a core's cache while the function uses it several times. All rows together
    would be read from memory each time, which takes longer than the sums themselves.

    Args:
        function: gives a pytree of arrays, the sums over the rows that it gets.
        rows: pytrees of arrays with one leading axis in common.
        size: the number of rows in a block.
    """
    count = len(jax.tree.leaves(rows)[0])
    if count <= MANY_ROWS:
        return function(*rows)

    def part(first: ArrayLike, length: int) -> Any:
        def cut(leaf: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(leaf, first, length)

        return function(*jax.tree.map(cut, rows))

    def add(block: ArrayLike, sums: Any) -> Any:
        return jax.tree.map(jnp.add, sums, part(block * size, size))

    blocks, rest = divmod(count, size)
    return jax.lax.fori_loop(0, blocks, add, part(count - rest, rest))


def weighted_gram(
    rows: Float[Numbers, "k m"], weights: Float[Numbers, " k"]
) -> Float[Numbers, "m m"]:
    """``rows' diag(weights) rows``.

    Many rows are summed in blocks, of a size that suits products.
    """

    def product(some: Float[Numbers, "k m"], factors: Float[Numbers, " k"]) -> Numbers:
        return (some.T * factors) @ some

    return summed(product, rows, weights, size=2**13)


def over_cores(
    function: Callable[[Any], Any], batch: Any, shape: tuple[int, ...], *, size: int
) -> Any:
    """``function(batch)``, by one thread a core, each in blocks of ``size`` elements.

    On a CPU, XLA would walk through all memory once per operation. A traced batch, a small one and
    one on another device are given to ``function`` as they are.

    Args:
        function: jitted; treats each element of the batch by itself. Its results are pytrees of
            arrays that begin with the axes of the batch.
        batch: a pytree of arrays that begin with the axes ``shape``.
    """
    workers = _workers(jax.tree.leaves(batch)[0], math.prod(shape) // size)
    if workers == 1:
        return function(batch)
    blockwise = functools.partial(_blockwise, function)
    with concurrent.futures.ThreadPoolExecutor(workers) as pool:
        run = threads.with_precision_of_caller(lambda part: jax.block_until_ready(blockwise(part)))
        return _joined(list(pool.map(run, _split(batch, shape, workers, size))), shape)


def _workers(leaf: Array, blocks: int) -> int:
    """How many threads are worth it for that many blocks."""
    if checks.is_traced(leaf) or next(iter(leaf.devices())).platform != "cpu":
        return 1
    return max(1, min(threads.count(jax.devices("cpu")), blocks))


@functools.partial(jax.jit, static_argnums=(1, 2, 3))
def _split(batch: Any, shape: tuple[int, ...], workers: int, size: int) -> list[Any]:
    """The batch in equal parts of whole blocks, with the axes ``(blocks, size)`` in each."""
    count = math.prod(shape)
    blocks = -(-count // (workers * size))

    def parts(leaf: Array) -> Array:
        return _cut(leaf.reshape(count, *leaf.shape[len(shape) :]), (workers, blocks, size))

    whole = jax.tree.map(parts, batch)
    return [jax.tree.map(lambda leaf, index=index: leaf[index], whole) for index in range(workers)]


@functools.partial(jax.jit, static_argnums=0)
def _blockwise(function: Callable[[Any], Any], part: Any) -> Any:
    return jax.lax.map(function, part)


@functools.partial(jax.jit, static_argnums=1)
def _joined(parts: list[Any], shape: tuple[int, ...]) -> Any:
    """The inverse of :func:`_split`."""

    def join(*leaves: Array) -> Array:
        flat = jnp.concatenate([leaf.reshape(-1, *leaf.shape[2:]) for leaf in leaves])
        return flat[: math.prod(shape)].reshape(*shape, *flat.shape[1:])

    return jax.tree.map(join, *parts)


def _cut(leaf: Array, shape: tuple[int, ...]) -> Array:
    """The rows of ``leaf``, padded by the last one, with the axes ``shape`` for the first."""
    padding = [(0, math.prod(shape) - len(leaf))] + [(0, 0)] * (leaf.ndim - 1)
    return jnp.pad(leaf, padding, mode="edge").reshape(*shape, *leaf.shape[1:])
