"""``python -m derivations attack``: search for violations of the claims, for as long as one likes.

Every claim gets the same share of the time. Half of the points are drawn from the
whole domain with its boundary, half are steps away from the worst point so far. The exit status is
1 if a claim is violated, 2 if an id is unknown and 130 after Ctrl-C.
"""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Iterator
from typing import NamedTuple

from derivations import LEDGER
from derivations.ledger import search, workers
from derivations.ledger.ledger import UnknownClaim
from theory_common import entry

LEAST_SECONDS = 0.05


class Attacked(NamedTuple):
    """What the attack on one claim found, as plain text and numbers."""

    id: str
    measured: int
    unmeasured: int
    violation: str | None
    worst_margin: float | None
    worst: str


def main(arguments: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    return entry.run_command("derivations attack", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    try:
        chosen = [LEDGER[identifier] for identifier in options.claims] or list(LEDGER)
    except UnknownClaim as error:
        print(f"derivations attack: {error}", file=sys.stderr)
        return 2
    identifiers = [claim.id for claim in chosen]
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    processes = min(options.workers or os.cpu_count() or 1, len(identifiers))
    share = max(options.seconds * processes / len(identifiers), LEAST_SECONDS)
    print(
        f"attacking {len(identifiers)} claims for {options.seconds:g} s with seed {seed}, "
        f"{share:.1f} s each in {processes} processes",
        flush=True,
    )
    found = []
    started = time.monotonic()
    try:
        for attacked in _attacks(identifiers, seed, share, processes):
            found.append(attacked)
    finally:
        _report(sorted(found, key=_order), time.monotonic() - started)
    return 1 if any(attacked.violation for attacked in found) else 0


def attacked(identifier: str, seed: int, seconds: float) -> Attacked:
    """Attack one claim for so many seconds."""
    found = search.attack(LEDGER[identifier].theorem, f"{identifier} {seed}", seconds)
    nearest = min(found.worst.values(), key=lambda one: one.margin, default=None)
    return Attacked(
        id=identifier,
        measured=found.measured,
        unmeasured=found.unmeasured,
        violation=None if found.violation is None else str(found.violation),
        worst_margin=None if nearest is None else nearest.margin,
        worst="" if nearest is None else str(nearest),
    )


def _attacks(identifiers: list[str], seed: int, share: float, processes: int) -> Iterator[Attacked]:
    """The attacks as they end, with a progress bar where a terminal is attached."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("claims"), TimeRemainingColumn())
    tasks = [(identifier, seed, share) for identifier in identifiers]
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=len(tasks))
        for one in workers.results(attacked, tasks, processes):
            bar.advance(task)
            yield one


def _order(attacked: Attacked) -> tuple:
    margin = attacked.worst_margin
    return (attacked.violation is None, margin is None, margin)


def _report(found: list[Attacked], seconds: float) -> None:
    """One line a claim, the worst first: margin, points, and where the margin was smallest."""
    for one in found:
        margin = "-" if one.worst_margin is None else f"{one.worst_margin:.2g}"
        word = "VIOLATED" if one.violation else "holds"
        print(
            f"{word:8} {one.id:38} margin {margin:>9}  {one.measured:7} points  "
            f"{one.violation or one.worst}"
        )
    violated = sum(one.violation is not None for one in found)
    points = sum(one.measured for one in found)
    print(
        f"{violated} of {len(found)} claims violated; {points} points measured in {seconds:.0f} s"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m derivations attack",
        description=(
            "Search for violations of the claims at points of their domains, and print the worst "
            "margin of each: 0 is equality, negative a violation. The exit status is 1 if a claim "
            "is violated."
        ),
    )
    parser.add_argument("claims", nargs="*", metavar="ID", help="claims to attack (default: all)")
    parser.add_argument(
        "--seconds", type=_seconds, default=60.0, help="how long in all (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, help="of the points drawn (default: a new one)")
    parser.add_argument("--workers", type=int, help="processes (default: one a processor)")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return seconds
