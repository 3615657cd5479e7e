"""``evaluate`` compares unlearned models with retrained ones, from arrays of any framework."""

import json
from collections.abc import Callable
from pathlib import Path

from gda_theory.commands import arguments
from theory_common.printing import files, tables
from theory_common.printing.waiting import counted


def add(commands) -> None:
    """Add the command's parser."""
    from gda_theory.evaluation.klom import DIRECTIONS, SPLITS

    parser = arguments.add_command(
        commands,
        "evaluate",
        run,
        "compare unlearned models with retrained ones, by their outputs (KLoM, membership tests)",
    )
    parser.add_argument(
        "arrays",
        help=".npz file with the arrays unlearned and oracle (margins or logits) and split, and "
        "with labels if they are logits",
    )
    parser.add_argument(
        "--direction",
        choices=DIRECTIONS,
        default=DIRECTIONS[0],
        help=f"which law comes first in the divergence (default {DIRECTIONS[0]})",
    )
    parser.add_argument(
        "--splits",
        type=int,
        default=SPLITS,
        help=f"how many random halves the intervals rest on (default {SPLITS})",
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of the random halves (default 0)")
    parser.add_argument(
        "--json",
        nargs="?",
        const="-",
        metavar="FILE",
        help="print all numbers as JSON instead of a table, or write them to a file",
    )
    parser.add_argument("--html", metavar="FILE", help="write the scores as a page with pictures")
    parser.add_argument(
        "--force", action="store_true", help="replace output files that exist already"
    )


def run(options) -> Callable[[], None]:
    """Evaluate, and return what prints the scores."""
    from gda_theory.evaluation import runs

    for path in (options.html, options.json):
        if path not in (None, "-"):
            files.require_free(path, options.force)
    arrays = runs.load(Path(options.arrays))
    with counted("comparing the models", runs.comparisons(arrays, options.splits)) as advance:
        found = runs.evaluate(
            arrays,
            direction=options.direction,
            splits=options.splits,
            seed=options.seed,
            advance=advance,
        )
    text = tables.dumps(found.to_dict(), indent=2)
    if options.html is not None:
        from gda_theory.evaluation.page import page

        files.write_whole(options.html, page(json.loads(text)), options.force)
    if options.json == "-":
        return lambda: print(text)
    if options.json is not None:
        files.write_whole(options.json, text, options.force)
    return lambda: print(found.summary())
