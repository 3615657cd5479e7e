"""``python -m rhm_theory``: one module of :mod:`rhm_theory.commands` for each command."""

import argparse
from collections.abc import Sequence

from rhm_theory.commands import measure, probe, theory, train
from theory_common import entry

COMMANDS = {"probe": probe, "theory": theory, "train": train, "measure": measure}
LONG = {"train", "measure"}  # commands for which optimised programs pay


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    It is 0 after success, 1 if nobody reads the output, and 130 after Ctrl-C. Wrong input prints
    one line on standard error and gives 2.
    """
    options = _parser().parse_args(arguments)

    def command() -> int:
        entry.enable_float64()
        if options.name not in LONG:
            entry.compile_quickly(optimise=options.name != "theory")
        entry.keep_compiled_code()
        options.command(options)()
        return 0

    return entry.run_command(f"rhm_theory {options.name}", command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rhm_theory", description="How far does a change reach in hierarchical data?"
    )
    entry.add_version(parser)
    commands = parser.add_subparsers(required=True, metavar="|".join(COMMANDS))
    for module in COMMANDS.values():
        module.add(commands)
    return parser
