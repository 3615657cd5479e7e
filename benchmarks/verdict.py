"""Time to verdict: what a command costs in a new process, against ``import jax``.

The unit is the CPU second of the child process, user and system time of all its threads, because a
busy machine stretches the wall clock more. The programs take turns, and the median counts.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from theory_common.printing import tables

WITHOUT_CACHE, WITH_CACHE, SECOND, COMPILATIONS = 15, 5, 1, 40
TURNS = 3
ROOT = Path(__file__).parents[1]
# Two runs in one process: the second one's CPU seconds are the last line.
TWICE = """
import contextlib, io, json, sys, time
from {package}.cli import main
for arguments in json.loads(sys.argv[1]):
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        if main(arguments):
            sys.exit(1)
print(time.process_time() - start)
"""
# One run, and how many functions XLA compiled.
COUNTED = """
import contextlib, io, json, sys
import jax
from {package}.cli import main
compiled = []
def listen(event, duration, **details):
    if event == "/jax/core/compile/backend_compile_duration":
        compiled.append(duration)
jax.monitoring.register_event_duration_secs_listener(listen)
with contextlib.redirect_stdout(io.StringIO()):
    if main(json.loads(sys.argv[1])):
        sys.exit(1)
print(len(compiled))
"""


class Command(NamedTuple):
    """A command line, and another one whose answer a running process should give at little cost."""

    package: str
    arguments: str
    second: str = ""
    second_title: str = ""

    def title(self) -> str:
        """The package and the command's own name."""
        return f"{self.package} {self.arguments.split()[0]}"


COUNTS = "--retain-size 900 --forget-size 100 --retain-in-pair 400"
DIAGNOSE = Command(
    package="gda_theory",
    arguments="diagnose breast_cancer --forget random:28 --seed 0 --ridge 1e-2",
    second="diagnose wine:0-1 --forget random:9 --seed 1 --ridge 2e-2",
    second_title="a second data set",
)
COMMANDS = (
    DIAGNOSE,
    Command(
        package="gda_theory",
        arguments=f"solve --correlation 0.5 --ridge 1e-2 {COUNTS}",
        second=f"solve --correlation 0.3 --ridge 2e-2 {COUNTS}",
        second_title="a second pair",
    ),
    Command(
        package="rhm_theory",
        arguments="theory --vocabulary 16 --rules-per-symbol 4 --branching 2",
        second="theory --vocabulary 8 --rules-per-symbol 2 --branching 2",
        second_title="a second grammar",
    ),
    Command(package="figures", arguments="fig5 --preset quick"),
)


def cpu_seconds(*arguments: str, cache: str) -> tuple[float, str]:
    """CPU seconds of a new interpreter with these arguments, and what it prints.

    ``cache`` is the value of ``THEORY_CACHE``. JAX's own settings are those of a user who has
    changed none.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("JAX_") and name != "XLA_FLAGS"
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=kept | {"THEORY_CACHE": cache},
        capture_output=True,
        text=True,
        check=False,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)} ended with {done.returncode}: {done.stderr}")
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return used, done.stdout


def import_jax_seconds() -> float:
    """CPU seconds of a new interpreter that imports JAX and does nothing."""
    return cpu_seconds("-c", "import jax", cache="0")[0]


def command_seconds(command: Command, cache: str) -> float:
    """CPU seconds of one command in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        # A figure that is up to date would not be drawn again.
        out = ["--out", folder] if command.package == "figures" else []
        return cpu_seconds("-m", command.package, *command.arguments.split(), *out, cache=cache)[0]


def second_seconds(command: Command) -> float:
    """CPU seconds of the second of two runs in one process, without a cache on disk."""
    both = json.dumps([command.arguments.split(), command.second.split()])
    _, printed = cpu_seconds("-c", TWICE.format(package=command.package), both, cache="0")
    return float(printed.split()[-1])


def compilations(command: Command) -> int:
    """How many functions XLA compiles for one command without a cache on disk."""
    code = COUNTED.format(package=command.package)
    _, printed = cpu_seconds("-c", code, json.dumps(command.arguments.split()), cache="0")
    return int(printed.split()[-1])


def multiple_of_import(
    work: str, ours: list[float], jax_seconds: list[float], allowed: int
) -> dict:
    """One row of the table. The target is a multiple of ``import jax``."""
    mine = statistics.median(ours)
    unit = statistics.median(jax_seconds)
    return {
        "work": work,
        "against": "import jax",
        "ours_seconds": mine,
        "theirs_seconds": unit,
        "ratio": unit / mine,
        "target": f"{allowed}x import jax at most",
        "met": mine <= allowed * unit,
        "limit": f"It takes {tables.number(mine / unit, 2)} times the CPU seconds of import jax",
    }


def command_rows(command: Command, turns: int = TURNS) -> Iterator[dict]:
    """A command without a cache, with a warm one, and a second answer in the same process."""
    unit: list[float] = []
    cold: list[float] = []
    warm: list[float] = []
    second: list[float] = []
    import_jax_seconds()  # brings the files into the disk's cache
    with tempfile.TemporaryDirectory() as cache:
        command_seconds(command, cache)
        for _ in range(turns):
            unit.append(import_jax_seconds())
            cold.append(command_seconds(command, "0"))
            unit.append(import_jax_seconds())
            warm.append(command_seconds(command, cache))
            if command.second:
                second.append(second_seconds(command))
    name = f"time to verdict: {command.title()}"
    yield multiple_of_import(f"{name}, no cache", cold, unit, WITHOUT_CACHE)
    yield multiple_of_import(f"{name}, warm cache", warm, unit, WITH_CACHE)
    if second:
        yield multiple_of_import(
            f"{name}, {command.second_title} in the same process", second, unit, SECOND
        )


def compilation_row(command: Command) -> dict:
    """How many functions a command compiles; the target is a number, not a ratio."""
    found = compilations(command)
    return {
        "work": f"compilations: {command.title()}",
        "against": f"{COMPILATIONS} functions",
        "target": f"{COMPILATIONS} functions at most",
        "met": found <= COMPILATIONS,
        "limit": f"It compiles {found} functions",
    }


def rows() -> Iterator[dict]:
    """All rows: three for each command, two for a figure, and the number of compilations."""
    for command in COMMANDS:
        yield from command_rows(command)
    yield compilation_row(DIAGNOSE)
