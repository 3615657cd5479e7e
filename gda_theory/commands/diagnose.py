"""``diagnose`` says whether gradient ascent would help to forget some rows of your data."""

import dataclasses
from collections.abc import Callable

from gda_theory.commands import arguments
from gda_theory.verdict.diagnosis import diagnose
from theory_common.printing import tables


def add(commands) -> None:
    """Add the command's parser."""
    parser = arguments.add_command(
        commands,
        "diagnose",
        run,
        "say whether gradient ascent would help to forget some rows of your data",
    )
    arguments.add_problem(parser)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def run(options) -> Callable[[], None]:
    """Diagnose, and return what prints the report."""
    loaded = arguments.loaded_data(options)
    problem = arguments.problem_of(options, loaded)
    found = diagnose(problem, options.strength)
    bias = "with an intercept that carries no ridge" if options.intercept else "no intercept"
    notes = (*loaded.notes, f"model: {options.loss} loss, {options.reduction}s, {bias}")
    found = dataclasses.replace(found, names=loaded.names, notes=notes)
    if options.json:
        text = tables.dumps(found.to_dict(), indent=2)
        return lambda: print(text)
    return lambda: print("\n".join([*notes, "", found.summary()]))
