"""``python -m figures``: compute and draw the figures, print what they find, and write a page."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from figures import catalogue

DEFAULT_PRESET = "quick"
DONE, FAILED, UNUSABLE, INTERRUPTED = 0, 1, 2, 130  # exit codes; 130 = 128 + SIGINT, as in a shell


class Parser(argparse.ArgumentParser):
    """Says what was wrong in one line, and nothing else."""

    def error(self, message: str) -> NoReturn:
        """Exit with the message."""
        self.exit(UNUSABLE, f"{self.prog}: error: {message}\n")


def arguments(argv: list[str] | None, package: str) -> argparse.Namespace:
    """The command line, checked before anything slow is imported or computed."""
    available = catalogue.names(package)
    parser = _parser(available)
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in available]
    if unknown:
        parser.error(f"unknown figure {unknown[0]!r}: choose from {', '.join(available)}")
    chosen.names = [name for name in available if name in chosen.names]
    chosen.names = chosen.names or catalogue.drawable(available)
    try:
        for name in chosen.names if chosen.settings else ():
            catalogue.parameters(name, chosen.settings, package)
    except ValueError as error:
        parser.error(f"--set: {error}")
    if chosen.jobs < 1:
        parser.error(f"--jobs: expected a whole number of at least 1, got {chosen.jobs}")
    if not chosen.list:
        try:
            chosen.out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=chosen.out):
                pass
        except OSError as error:
            parser.error(f"--out: cannot write to {chosen.out}: {error.strerror}")
    return chosen


def _parser(available: list[str]) -> Parser:
    parser = Parser(
        prog="python -m figures",
        description="Compute and draw the figures, and write index.html, a page that shows them.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="figures to draw, all if none is named: " + ", ".join(available),
    )
    parser.add_argument(
        "--list",
        action="store_true",
        help="list the figures and their parameters, and draw nothing",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("out"),
        metavar="DIR",
        help="folder to write to (default: out)",
    )
    parser.add_argument(
        "--preset",
        choices=catalogue.PRESETS,
        default=DEFAULT_PRESET,
        help=f"coarse and quick, or as fine as the paper (default: {DEFAULT_PRESET})",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        dest="settings",
        metavar="PARAMETER=VALUE",
        help="change a parameter of the named figures (may be repeated)",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        metavar="N",
        help="number of processes that compute in parallel (default: the number of cores)",
    )
    return parser


def main(argv: list[str] | None = None, package: str = "figures") -> int:
    """Exit code: 0; 1 if a figure or the page failed; 2 for bad arguments; 130 after Ctrl-C."""
    start = time.perf_counter()
    chosen = arguments(argv, package)
    # Imported here: a mistyped argument is answered at once, not after JAX has been loaded.
    from figures import runner
    from figures.store import WriteError

    runner.prepare()
    if chosen.list:
        return FAILED if runner.print_list(chosen.names, package) else DONE
    run = runner.Run(package, chosen.preset, chosen.out, tuple(chosen.settings))
    outcomes, interrupted = runner.make_all(chosen.names, run, chosen.jobs)
    # The table comes first: it is not lost if the page cannot be written.
    if not interrupted:
        runner.print_claims(outcomes)
    try:
        where = str(runner.write_page(outcomes, run))
        written = True
    except WriteError as error:
        where = str(error)
        written = False
    if interrupted:
        left = ", ".join(name for name in chosen.names if name not in outcomes)
        print(
            f"interrupted, not done: {left}; the same command continues from here", file=sys.stderr
        )
        return INTERRUPTED
    states = [outcome.state for outcome in outcomes.values()]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("computed", "up to date", "failed")
        if state in states
    )
    summary = f"{where}: {counts or 'no figure'} in {time.perf_counter() - start:.1f} s"
    print(summary, file=sys.stdout if written else sys.stderr)
    return FAILED if "failed" in states or not written else DONE


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # while importing, or a second time
        print("interrupted; the same command continues from what is in the folder", file=sys.stderr)
        sys.exit(INTERRUPTED)
