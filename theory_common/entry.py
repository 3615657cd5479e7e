"""What our own entry points (commands, figures, tests) switch on, before JAX computes anything.

Importing a library changes nothing. Commands also share their exit codes and ``--version``.
"""

import argparse
import importlib.metadata
import os
import sys
from collections.abc import Callable

import jax

DISTRIBUTION = "gda-theory"
WRONG_INPUT = (ValueError, TypeError, OSError, ModuleNotFoundError)
INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended
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
        _drop_output()
        return 1
    return 0


def run_command(name: str, command: Callable[[], int]) -> int:
    """Run ``command`` and return its exit code, without a traceback where the user needs none.

    Wrong input gives one line on standard error and 2, Ctrl-C one line and 130.
    If nobody reads the output (``... | head``), the code is 1.
    """
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        print(f"{name}: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        _drop_output()
        return 1
    except WRONG_INPUT as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return code


def add_version(parser: argparse.ArgumentParser) -> None:
    """Give the parser ``--version``, which prints the version of the installed distribution."""
    try:
        version = importlib.metadata.version(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        version = "of a checkout that is not installed"
    parser.add_argument("--version", action="version", version=f"{DISTRIBUTION} {version}")


def _drop_output() -> None:
    """Send what is left of standard output nowhere; otherwise Python complains at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
