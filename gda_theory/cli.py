"""``python -m gda_theory``: one module of :mod:`gda_theory.commands` for each command."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from gda_theory.commands import certify, check, diagnose, evaluate, forget, solve
from gda_theory.problem import reading
from theory_common import entry

COMMANDS = {
    "diagnose": diagnose,
    "forget": forget,
    "certify": certify,
    "check": check,
    "evaluate": evaluate,
    "solve": solve,
}
LARGE = 8_000_000  # bytes of a file, about a million numbers: then optimised programs pay


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (see :func:`theory_common.entry.run_command`)."""
    options = _parser().parse_args(arguments)
    entry.enable_float64()
    entry.compile_quickly(optimise=_is_large(options))
    entry.keep_compiled_code()

    def command() -> int:
        print_answer = options.command(options)
        print_answer()
        return 0

    return entry.run_command(f"gda_theory {options.name}", command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gda_theory",
        description="When can a logistic-regression model unlearn, that is, forget some rows?",
    )
    entry.add_version(parser)
    commands = parser.add_subparsers(required=True, metavar="|".join(COMMANDS))
    for module in COMMANDS.values():
        module.add(commands)
    return parser


def _is_large(options) -> bool:
    """Whether the command reads a large file, or a folder of files."""
    data = getattr(options, "data", None)
    if data is None:
        return False
    if getattr(options, "scheduler", None) is not None or reading.is_partitioned(data):
        return True
    return Path(data).is_file() and Path(data).stat().st_size > LARGE
