"""``python -m derivations``: check every claim and print the ledger.

``python -m derivations attack`` searches for violations (:mod:`derivations.attack`).

The exit status is 1 if a check fails, 2 if an id is unknown and 130 after Ctrl-C.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence

from derivations import LEDGER, attack, render
from derivations.ledger import workers
from derivations.ledger.ledger import Claim, UnknownClaim
from derivations.render import Outcome
from theory_common import entry

DESCRIPTION = (
    "Check every claim that the libraries use, and print the table of claims (the ledger). "
    "The exit status is 1 if a check fails, 2 if an id is unknown, 130 after Ctrl-C."
)
# What each option prints instead of checking.
PAGES: dict[str, Callable[[Sequence[Claim]], str]] = {
    "markdown": render.ledger_markdown,
    "corrections": render.corrections_markdown,
    "publish": lambda claims: as_json(render.publication(claims)) + "\n",
    "bibtex": render.bibliography,
}


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["attack"]:
        return attack.main(given[1:])
    options = _parser().parse_args(given)
    return entry.run_command("derivations", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    try:
        named = [LEDGER[identifier] for identifier in options.claim or ()]
    except UnknownClaim as error:
        print(f"derivations: {error}", file=sys.stderr)
        return 2
    chosen = named or list(LEDGER)
    for name, page in PAGES.items():
        if getattr(options, name):
            print(page(chosen), end="")
            return 0
    left_out = [] if options.slow or named else [claim for claim in chosen if claim.slow]
    return _check([claim for claim in chosen if claim not in left_out], left_out, options)


def _check(claims: list[Claim], left_out: list[Claim], options: argparse.Namespace) -> int:
    started = time.perf_counter()
    outcomes = _checked(claims)
    if options.json:
        print(as_json({"claims": [outcome.record for outcome in outcomes]}))
    elif options.claim:
        print("\n\n".join(outcome.details for outcome in outcomes))
    elif options.necessity:
        render.print_necessity(outcomes)
    else:
        render.print_table(outcomes, left_out, time.perf_counter() - started)
    failures = [outcome for outcome in outcomes if not outcome.passes]
    for outcome in failures:
        print(f"derivations: {render.failure(outcome)}", file=sys.stderr)
    return 1 if failures else 0


def _checked(claims: list[Claim]) -> list[Outcome]:
    """The outcome of each claim, with a progress bar where a terminal is attached."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("claims checked"))
    console = Console(stderr=True)
    found = {}
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=len(claims))
        for outcome in workers.results(render.checked, [(claim.id,) for claim in claims]):
            found[outcome.id] = outcome
            bar.advance(task)
    return [found[claim.id] for claim in claims]


def as_json(value: dict) -> str:
    """``value`` as readable JSON."""
    return json.dumps(value, indent=2, ensure_ascii=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m derivations", description=DESCRIPTION)
    parser.add_argument(
        "--claim",
        action="append",
        metavar="ID",
        help="check only this claim, and print its steps (may be repeated)",
    )
    parser.add_argument(
        "--slow",
        action="store_true",
        help="also check the slow claims, which takes under a minute (--claim needs no --slow)",
    )
    form = parser.add_mutually_exclusive_group()
    for option, text in (
        ("--necessity", "print the steps and changes of statements that no check notices"),
        ("--json", "print the checked ledger as JSON, with BibTeX entries"),
        ("--markdown", "print the ledger as a page, with the smallest margin that a search met"),
        ("--corrections", "print docs/where_claims_fail.md: where the papers' claims fail"),
        ("--publish", "print the claims as JSON for citation, unchecked (docs/claims.schema.json)"),
        ("--bibtex", "print a BibTeX entry for each claim, unchecked"),
    ):
        form.add_argument(option, action="store_true", help=text)
    entry.add_version(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
