"""Threads that compute with JAX: how many there should be, and what each takes from its caller."""

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import jax


def count(devices: list[jax.Device]) -> int:
    """One thread a core on CPU devices, which share the cores; elsewhere one a device."""
    return os.cpu_count() or 1 if devices[0].platform == "cpu" else len(devices)


def with_precision_of_caller(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function`` for use in threads, in the caller's 32 or 64 bits.

    A thread does not inherit what a ``with jax.enable_x64(...)`` block has set.
    """
    wide = jax.config.read("jax_enable_x64")

    def run(*arguments):
        with jax.enable_x64(wide):
            return function(*arguments)

    return run


@contextlib.contextmanager
def one_thread_of_blas() -> Iterator[None]:
    """A context in which NumPy's products use one thread.

    For small products a second thread waits for most of the time, and busily. JAX has threads of
    its own, which are not affected. The setting is one of the whole process. It is taken back when
    the last of several contexts ends, in whatever order threads leave them.
    """
    from threadpoolctl import threadpool_limits

    with _lock:
        _open.append(None if _open else threadpool_limits(1, "blas"))
    try:
        yield
    finally:
        with _lock:
            limits = _open[0]
            _open.pop()
            if not _open:
                limits.restore_original_limits()


_lock = threading.Lock()
_open: list[Any] = []  # an entry for each context, the first of which holds the former setting
