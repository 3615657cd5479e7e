"""Settings of JAX that commands, figures and tests switch on before JAX computes anything.

Importing a library changes no setting. Commands also share their exit codes and ``--version``.
"""

import argparse
import importlib.metadata
import os
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path

import jax

DISTRIBUTION = "gda-theory"
WRONG_INPUT = (ValueError, TypeError, OSError, ModuleNotFoundError)
INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended
QUICK_TO_COMPILE = ("--xla_cpu_use_fusion_emitters=false",)
HARDLY_OPTIMISED = (
    "--xla_backend_optimization_level=0",
    "--xla_llvm_disable_expensive_passes=true",
)
CACHE_SWITCH = "THEORY_CACHE"
CACHE_BYTES = 2**30
FREE_BYTES = 2**28  # a disk with less space left is only read
NEVER = 1e9  # seconds: no compilation takes that long


def enable_float64() -> None:
    """Switch JAX to 64 bits."""
    jax.config.update("jax_enable_x64", True)


def compile_quickly(*, optimise: bool = True) -> None:
    """Make XLA compile for the CPU in less time. The compiled programs then run longer.

    A command compiles each function once and calls it a few times, so compiling is most of its
    time. XLA's older code generator takes about half the time, and its programs run up to 1.7 times
    longer. XLA reads the environment when it first computes. A user who sets one of the flags in
    ``XLA_FLAGS`` keeps that choice.

    Args:
        optimise: False for small problems. It leaves out most optimisation, which halves the time
            again. Last digits differ, since the order of sums does.
    """
    chosen = os.environ.get("XLA_FLAGS", "")
    wanted = QUICK_TO_COMPILE if optimise else QUICK_TO_COMPILE + HARDLY_OPTIMISED
    added = [flag for flag in wanted if flag.partition("=")[0] not in chosen]
    os.environ["XLA_FLAGS"] = " ".join([chosen, *added]).strip()


def keep_compiled_code() -> Path | None:
    """Keep compiled functions on disk, so that the next command need not compile them again.

    The environment variable ``THEORY_CACHE`` chooses the folder. ``THEORY_CACHE=0`` switches the
    cache off. Without it the folder is :func:`cache_folder`. A cache that the user has set up in
    JAX, by ``JAX_COMPILATION_CACHE_DIR`` for example, is left as it is.

    The folder is kept below ``CACHE_BYTES``: the files written first are deleted first, when a
    command starts. A folder or disk that is read-only or full is no error. What is there is read,
    and nothing is written.

    Returns: the folder, or ``None`` where no cache was switched on.
    """
    choice = os.environ.get(CACHE_SWITCH, "")
    if choice == "0" or jax.config.values["jax_compilation_cache_dir"]:
        return None
    # A broken or half-written file is compiled again. A user can do nothing about it, so a warning
    # would not help.
    warnings.filterwarnings(
        "ignore", message="Error (reading|writing) persistent compilation cache"
    )
    try:
        folder = Path(choice).expanduser() if choice else cache_folder()
        # Code is read from here and run, so that nobody else may write into the folder.
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = _bytes_after_deleting(folder, CACHE_BYTES)
        writable = held < CACHE_BYTES and _writable(folder)
    except (OSError, RuntimeError):
        return None
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0 if writable else NEVER)
    return folder


def cache_folder() -> Path:
    """The project's folder in the user's cache directory.

    Linux: ``$XDG_CACHE_HOME``, by default ``~/.cache``. macOS: ``~/Library/Caches``. Windows:
    ``%LOCALAPPDATA%``.

    Raises: ``RuntimeError`` where the user has no home directory.
    """
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "gda-theory" / "compiled"


def _writable(folder: Path) -> bool:
    """Whether files can be created in ``folder`` and its disk has ``FREE_BYTES`` left."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
        return shutil.disk_usage(folder).free >= FREE_BYTES
    except OSError:
        return False


def _bytes_after_deleting(folder: Path, limit: int) -> int:
    """Delete the oldest compiled functions where they exceed ``limit``, until 3/4 of it is left.

    Returns: the bytes that the remaining ones take.
    """
    files = []
    for path in folder.glob("*-cache"):
        try:
            status = path.stat()
        except FileNotFoundError:  # another command has just deleted it
            continue
        files.append((status.st_mtime, status.st_size, path))
    held = sum(size for _, size, _ in files)
    if held <= limit:
        return held
    for _, size, path in sorted(files):
        if held <= limit * 3 // 4:
            break
        try:
            path.unlink(missing_ok=True)
        except OSError:
            break
        held -= size
    return held


def shown(print_answer: Callable[[], None]) -> int:
    """Run ``print_answer``. Return 0, or 1 if nobody reads the output (``... | head``)."""
    try:
        print_answer()
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return 1
    return 0


def run_command(name: str, command: Callable[[], int]) -> int:
    """Run ``command`` and return its exit code, without a traceback where the user needs none.

    Wrong input prints one line on standard error and gives 2. Ctrl-C prints one line and gives 130.
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
        print(f"{name}: {_in_words(error)}", file=sys.stderr)
        return 2
    return code


def _in_words(error: Exception) -> str:
    """The message, without the number of an error of the system."""
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    return str(error)


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
