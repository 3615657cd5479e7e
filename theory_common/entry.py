"""What our own entry points (commands, figures, tests) switch on, before JAX computes anything. Importing a library changes nothing."""

import os
import sys
from collections.abc import Callable

import jax

QUICK_TO_COMPILE = "--xla_cpu_use_fusion_emitters=false"


def enable_float64() -> None:
    """Switch JAX to 64 bits."""
    jax.config.update("jax_enable_x64", True)


def compile_quickly() -> None:
    """Have XLA's older code generator compile for the CPU: in about half the time, what then runs up to 1.7 times longer.

    A command compiles each function once and runs it once or a few times: its time is the compiler's. XLA reads the
    environment when it first computes; a choice of the user's own (the flag in ``XLA_FLAGS``) stands.
    """
    chosen = os.environ.get("XLA_FLAGS", "")
    if QUICK_TO_COMPILE.partition("=")[0] not in chosen:
        os.environ["XLA_FLAGS"] = f"{chosen} {QUICK_TO_COMPILE}".strip()


def shown(print_answer: Callable[[], None]) -> int:
    """The exit code after ``print_answer``: 0, or 1 without a word where nobody reads on (``... | head``)."""
    try:
        print_answer()
        sys.stdout.flush()
    except BrokenPipeError:
        # Python would try again, and complain, when it closes the file.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0
