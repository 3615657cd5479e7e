"""Threads that compute with JAX: how many there should be, and what each takes from its caller."""

import contextlib
import os
from collections.abc import Callable
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


def one_thread_of_blas() -> contextlib.AbstractContextManager:
    """A context in which NumPy's products use one thread.

    For small products a second thread waits for most of the time, and busily. JAX has threads of
    its own, which are not affected.
    """
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, "blas")
