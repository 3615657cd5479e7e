"""``diagnose`` says whether gradient ascent would help to forget some rows of your data."""

import contextlib
import dataclasses
import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from gda_theory.commands import arguments
from gda_theory.verdict import partitioned
from gda_theory.verdict.against_rest import AgainstRest
from gda_theory.verdict.diagnosis import Diagnosis, diagnose
from gda_theory.verdict.ranking import rank
from theory_common.batching import cluster
from theory_common.printing import files, tables
from theory_common.printing.waiting import shown_while

TERMINAL = "-"  # as the file of --json


def add(commands) -> None:
    """Add the command's parser."""
    parser = arguments.add_command(
        commands,
        "diagnose",
        run,
        "say whether gradient ascent would help to forget some rows of your data",
    )
    arguments.add_problem(parser, many_sets=True)
    parser.add_argument(
        "--exact",
        type=int,
        metavar="N",
        help="with --forget-sets: for how many sets the exact path of minima is followed "
        "(default: as many as take some tens of seconds, at least 3)",
    )
    arguments.add_scheduler(parser)
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
    if options.forget_sets is not None:
        return _ranked(options, numbers)
    if options.exact is not None:
        raise ValueError("--exact is only for --forget-sets")
    found = _found(options)
    with shown_while("the sections of the report"):
        texts = {} if page is None else {page: found.to_html()}
        if numbers is not None:
            texts[numbers] = _json(found)
    for name, text in texts.items():
        files.write_whole(name, text, force=options.force)
    if options.json == TERMINAL:
        printed = _json(found)
        return lambda: print(printed, end="")
    places = [f"Written: {' and '.join(texts)}"] if texts else []
    told = "\n".join([*found.notes, "", found.summary(), *places])
    return lambda: print(told)


def _found(options) -> Diagnosis | AgainstRest:
    if arguments.is_partitioned(options):
        return _found_in_partitions(options)
    with shown_while(f"reading {options.data}"):
        loaded = arguments.loaded_data(options)
        problem = arguments.problem_of(options, loaded)
    found = diagnose(problem, options.strength, progress=True)
    notes = (*loaded.notes, _model(options, len(loaded.classes)))
    return dataclasses.replace(found, names=loaded.names, notes=notes)


def _found_in_partitions(options) -> Diagnosis:
    if options.html is not None:
        raise ValueError("--html needs rows in memory: give one file, or leave --html out")
    with cluster.executor_at(options.scheduler) as executor, _shown_passes() as watch:
        problem = arguments.partitioned_problem(options, executor, watch)
        found = partitioned.diagnose(problem, options.strength)
    return dataclasses.replace(found, notes=(*found.notes, _model(options)))


@contextlib.contextmanager
def _shown_passes() -> Iterator[Callable[[], object] | None]:
    """What to call after each pass over the rows; it shows their number on a terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    passes = itertools.count(1)
    with Console(stderr=True).status("reading the columns") as status:
        yield lambda: status.update(f"{next(passes)} passes over the rows")


def _model(options, classes: int = 2) -> str:
    bias = "with an intercept that carries no ridge" if options.intercept else "no intercept"
    loss = options.loss if classes == 2 else "softmax"
    return f"model: {loss} loss, {options.reduction}s, {bias}"


def _ranked(options, numbers: str | None) -> Callable[[], None]:
    """Rank many forget sets, write the numbers if wanted, and return what prints the table."""
    if options.html is not None:
        raise ValueError("--html is for one forget set; --json writes the table of --forget-sets")
    if arguments.is_partitioned(options):
        raise ValueError("--forget-sets needs rows in memory: give one file")
    loaded = arguments.loaded_data(options)
    found = rank(
        arguments.problem_of(options, loaded),
        loaded.sets,
        options.strength,
        exact=options.exact,
        progress=sys.stderr.isatty(),
    )
    notes = (*loaded.notes, _model(options, len(loaded.classes)))
    text = tables.dumps({"data": notes, **found.to_dict()}, indent=2) + "\n"
    if options.json == TERMINAL:
        return lambda: print(text, end="")
    places = []
    if numbers is not None:
        files.write_whole(numbers, text, force=options.force)
        places = [f"Written: {numbers}"]
    return lambda: print("\n".join([*notes, "", found.summary(), *places]))


def _json(found: Diagnosis | AgainstRest) -> str:
    return tables.dumps(found.to_dict(), indent=2) + "\n"
