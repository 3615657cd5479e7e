"""Work items on an executor of the caller's choice: threads, processes, or a cluster.

Any ``concurrent.futures.Executor`` will do: a pool of Python's, ``client.get_executor()`` of a Dask
client, or those of Ray and MPI. What an item needs is pickled, so its function must stand at the
top of a module. Its arrays travel as NumPy's, and keep their 32 or 64 bits.
"""

import concurrent.futures
import importlib
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future
from typing import Any

import jax
import numpy as np

from theory_common.batching import threads


def submitted(executor: Executor, function: Callable[..., Any], *arguments: Any) -> Future:
    """The future of ``function(*arguments)``, with NumPy's arrays, in the caller's precision.

    Args:
        executor: where it is computed.
        function: at the top of a module; it may be jitted.
        arguments: pytrees that can be pickled.
    Raises: ``TypeError`` if the function cannot be found by its name.
    """
    wide = bool(jax.config.read("jax_enable_x64"))
    module, name = _place(function)
    return executor.submit(_compute, module, name, wide, jax.tree.map(_plain, arguments))


def in_order(
    executor: Executor | None, function: Callable[..., Any], items: Iterable[tuple]
) -> Iterator[Any]:
    """``function(*item)`` of each item, in the order of the items.

    What waits is cancelled if the caller stops early, or is interrupted.

    Args:
        executor: None for one thread a core, which live as long as the iterator.
        function: as in :func:`submitted`.
        items: the arguments of each call.
    """
    if executor is None:
        workers = threads.count(jax.local_devices())
        with concurrent.futures.ThreadPoolExecutor(workers) as own:
            yield from in_order(own, function, items)
        return
    waiting = [submitted(executor, function, *item) for item in items]
    try:
        while waiting:
            # Not kept, so that a long sum does not hold all its terms.
            yield waiting.pop(0).result()
    finally:
        cancel(waiting)


def cancel(futures: Iterable[Future]) -> None:
    """Take back what has not begun. The executor itself is the caller's."""
    for future in futures:
        future.cancel()


def checked(executor: Any) -> Executor | None:
    """``executor``, if it is one or None.

    Raises: ``TypeError`` otherwise.
    """
    if executor is not None and not callable(getattr(executor, "submit", None)):
        raise TypeError(
            "executor must be a concurrent.futures.Executor, such as client.get_executor() of a"
            f" Dask client, got {type(executor).__name__}"
        )
    return executor


def _place(function: Callable) -> tuple[str, str]:
    """The module and the name by which another process finds the function."""
    module, name = function.__module__, function.__qualname__
    if getattr(sys.modules.get(module), name, None) is not function:
        raise TypeError(f"{module}.{name} must stand at the top of a module to be sent elsewhere")
    return module, name


def _compute(module: str, name: str, wide: bool, arguments: tuple) -> Any:
    """In the worker: the call, and its result with NumPy's arrays instead of JAX's."""
    function = getattr(importlib.import_module(module), name)
    with jax.enable_x64(wide):
        return jax.tree.map(_plain, function(*arguments))


def _plain(leaf: Any) -> Any:
    return np.asarray(leaf) if isinstance(leaf, jax.Array) else leaf
