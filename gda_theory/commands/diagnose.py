"""``diagnose`` says whether gradient ascent would help to forget some rows of your data."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from gda_theory.commands import arguments
from gda_theory.verdict.diagnosis import Diagnosis, diagnose
from theory_common.printing import files, tables

TERMINAL = "-"  # as the file of --json


def add(commands) -> None:
    """Add the command's parser."""
    parser = arguments.add_command(
        commands,
        "diagnose",
        run,
        "say whether gradient ascent would help to forget some rows of your data",
    )
    arguments.add_problem(parser)
    parser.add_argument(
        "--html", metavar="FILE", help="write a report as one HTML page that needs no network"
    )
    parser.add_argument(
        "--json",
        nargs="?",
        const=TERMINAL,
        metavar="FILE",
        help="print all numbers as JSON instead of a table, or write them to a file",
    )
    arguments.add_force(parser)


def run(options) -> Callable[[], None]:
    """Diagnose, write the files that are wanted, and return what prints the report."""
    page, numbers = options.html, None if options.json == TERMINAL else options.json
    wanted = [Path(name) for name in (page, numbers) if name is not None]
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"--html and --json must name two files, got {page} twice")
    for path in wanted:
        files.require_free(path, force=options.force)
    found = _found(options)
    texts = {page: found.to_html} if page is not None else {}
    if numbers is not None:
        texts[numbers] = lambda: _json(found)
    for name, text in [(name, make()) for name, make in texts.items()]:
        files.write_whole(name, text, force=options.force)
    if options.json == TERMINAL:
        printed = _json(found)
        return lambda: print(printed, end="")
    places = [f"Written: {' and '.join(texts)}"] if texts else []
    told = "\n".join([*found.notes, "", found.summary(), *places])
    return lambda: print(told)


def _found(options) -> Diagnosis:
    loaded = arguments.loaded_data(options)
    found = diagnose(arguments.problem_of(options, loaded), options.strength)
    bias = "with an intercept that carries no ridge" if options.intercept else "no intercept"
    model = f"model: {options.loss} loss, {options.reduction}s, {bias}"
    return dataclasses.replace(found, names=loaded.names, notes=(*loaded.notes, model))


def _json(found: Diagnosis) -> str:
    return tables.dumps(found.to_dict(), indent=2) + "\n"
