"""``python -m derivations attack``: search for violations of the claims, for as long as one likes.

Every claim gets the same share of the time. Half of the points are drawn from the
whole domain with its boundary, half are steps away from the worst point so far. A point that takes
too long is abandoned and counted. The exit status is 1 if a claim is violated, 2 if an id is
unknown and 130 after Ctrl-C.
"""

import argparse
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from derivations import LEDGER
from derivations.ledger import search, workers
from derivations.ledger.ledger import UnknownClaim
from theory_common import entry
from theory_common.printing.nouns import plural

LIMIT = 20.0  # seconds for one point
SENT_EVERY = 0.5  # seconds between two states of an attack
HANGS_AFTER = 3.0  # seconds beyond two limits: hypotheses and conclusions have one each


class Attacked(NamedTuple):
    """What the attack on one claim has found so far, as plain text and numbers."""

    id: str
    measured: int = 0
    too_long: int = 0
    violation: str | None = None
    worst_margin: float | None = None
    worst: str = ""
    error: str | None = None

    def __str__(self) -> str:
        margin = "-" if self.worst_margin is None else search.margin(self.worst_margin)
        word = "RAISED" if self.error else "VIOLATED" if self.violation else "holds"
        slow = f"{self.too_long} took too long  " if self.too_long else ""
        points = plural(self.measured, "point")
        return (
            f"{word:8} {self.id:38} margin {margin:>9}  {points:>14}  {slow}"
            f"{self.error or self.violation or self.worst}"
        )


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
    seed = secrets.randbelow(10**9) if options.seed is None else options.seed
    number = min(options.workers or os.cpu_count() or 1, len(chosen))
    print(
        f"attacking {plural(len(chosen), 'claim')} for {options.seconds:g} s with seed {seed} "
        f"in {plural(number, 'process')}",
        flush=True,
    )
    tasks = [(claim.id, seed, options.limit) for claim in chosen]
    started = time.monotonic()
    found: dict[str, Attacked] = {}
    ended: set[str] = set()
    try:
        for state in _states(tasks, number, options.seconds, options.limit):
            one = _with_stop(state)
            found[one.id] = one
            if state.ended:
                ended.add(one.id)
                print(one, flush=True)
    finally:
        _report(found, ended, time.monotonic() - started)
    return 1 if any(one.violation or one.error for one in found.values()) else 0


def attacked(identifier: str, seed: int, limit: float, seconds: float) -> Iterator[Attacked]:
    """The states of an attack on one claim for so many seconds. The last one is always sent."""
    sent = time.monotonic()
    one = Attacked(identifier)
    searches = search.attack(LEDGER[identifier].theorem, f"{identifier} {seed}", seconds, limit)
    try:
        for found in searches:
            one = _as_text(identifier, found)
            if time.monotonic() > sent + SENT_EVERY:
                sent = time.monotonic()
                yield one
    except Exception as error:  # a measure must not raise: report where it does
        notes = getattr(error, "__notes__", ())
        one = one._replace(error=" ".join([f"{type(error).__name__}: {error}", *notes]))
    yield one


def _as_text(identifier: str, found: search.Search) -> Attacked:
    nearest = min(found.worst.values(), key=lambda one: one.margin, default=None)
    return Attacked(
        id=identifier,
        measured=found.measured,
        too_long=found.too_long,
        violation=None if found.violation is None else str(found.violation),
        worst_margin=None if nearest is None else nearest.margin,
        worst="" if nearest is None else str(nearest),
    )


def _with_stop(state: workers.State) -> Attacked:
    """The attack of ``state``. A process that had to be stopped hung in one more point."""
    one = state.value or Attacked(id=state.task[0])
    return one._replace(too_long=one.too_long + 1) if state.stopped else one


def _states(
    tasks: Sequence[tuple], number: int, seconds: float, limit: float
) -> Iterator[workers.State]:
    """The states of all attacks, with a progress bar where a terminal is attached."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    silence = 2 * limit + HANGS_AFTER
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),
    ) as bar:
        task = bar.add_task("", total=seconds)
        started = time.monotonic()
        ended = 0
        for state in workers.streamed(attacked, tasks, number, seconds, silence):
            ended += state.ended
            bar.update(
                task,
                completed=time.monotonic() - started,
                description=f"{ended} of {len(tasks)} claims",
            )
            yield state


def _report(found: dict[str, Attacked], ended: set[str], seconds: float) -> None:
    """Print the claims whose attack was cut short, then one line on all of them."""
    for one in found.values():
        if one.id not in ended:
            print(one)
    violated = [one for one in found.values() if one.violation or one.error]
    points = sum(one.measured for one in found.values())
    slow = sum(one.too_long for one in found.values())
    too_long = f", {slow} took too long" if slow else ""
    print(
        f"Violated: {len(violated)} of {plural(len(found), 'claim')}{_names(violated)}. "
        f"Measured: {plural(points, 'point')}{too_long} in {seconds:.0f} s."
    )


def _names(violated: list[Attacked]) -> str:
    return f" ({', '.join(one.id for one in violated)})" if violated else ""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m derivations attack",
        description=(
            "Search for violations of the claims at points of their domains. Print the smallest "
            "margin of each claim: 0 is equality, and a negative margin is a violation. The exit "
            "status is 1 if a claim is violated."
        ),
    )
    parser.add_argument("claims", nargs="*", metavar="ID", help="claims to attack (default: all)")
    parser.add_argument(
        "--seconds", type=_seconds, default=60.0, help="how long in all (default: %(default)s)"
    )
    parser.add_argument("--seed", type=int, help="seed of the points drawn (default: a new one)")
    parser.add_argument(
        "--workers", type=int, help="number of processes (default: one for each processor)"
    )
    parser.add_argument(
        "--limit",
        type=_seconds,
        default=LIMIT,
        help="seconds after which a point is abandoned (default: %(default)s)",
    )
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a positive number, got {text}")
    return seconds
