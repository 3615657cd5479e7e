"""``python -m figures``: compute and draw the figures, print what they say of the paper's claims, and write one page about all of them."""

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from figures import catalogue

DEFAULT_PRESET = "quick"
FAILED, UNUSABLE, INTERRUPTED = 1, 2, 130  # exit codes; 130 = 128 + SIGINT, as a shell has it


class Parser(argparse.ArgumentParser):
    """Says what was wrong in one line, and nothing else."""

    def error(self, message: str) -> NoReturn:
        self.exit(UNUSABLE, f"{self.prog}: error: {message}\n")


def arguments(argv: list[str] | None, package: str) -> argparse.Namespace:
    """The command line, checked before anything is imported or computed."""
    available = catalogue.names(package)
    parser = Parser(
        prog="python -m figures",
        description="Compute and draw the figures into a folder, with a page about them, index.html.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="figures to draw, all if none is named: " + ", ".join(available),
    )
    parser.add_argument("--list", action="store_true", help="say which figures there are, and stop")
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
        help=f"how fine (default: {DEFAULT_PRESET})",
    )
    chosen = parser.parse_args(argv)
    unknown = [name for name in chosen.names if name not in available]
    if unknown:
        parser.error(f"unknown figure {unknown[0]!r}: choose from {', '.join(available)}")
    chosen.names = [name for name in available if name in chosen.names] or available
    if not chosen.list:
        try:
            chosen.out.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=chosen.out):
                pass
        except OSError as error:
            parser.error(f"--out: cannot write to {chosen.out}: {error.strerror}")
    return chosen


def main(argv: list[str] | None = None, package: str = "figures") -> int:
    """Exit code: 0; 1 if a figure failed; 2 for unusable arguments; 130 after Ctrl-C."""
    start = time.perf_counter()
    chosen = arguments(argv, package)
    # Imported here: a mistyped argument is answered at once, not after JAX has been loaded.
    from figures import runner
    from theory_common import entry

    entry.enable_float64()
    entry.compile_quickly()
    entry.keep_compiled_code()
    if chosen.list:
        return FAILED if runner.print_list(chosen.names, package) else 0
    outcomes, interrupted = runner.make_all(chosen.names, package, chosen.preset, chosen.out)
    path = runner.write_page(outcomes, package, chosen.preset, chosen.out)
    runner.print_claims(outcomes)
    states = [outcome.state for outcome in outcomes.values()]
    counts = ", ".join(
        f"{states.count(state)} {state}"
        for state in ("computed", "up to date", "failed")
        if state in states
    )
    print(f"{path}: {counts or 'no figure'} in {time.perf_counter() - start:.1f} s")
    if interrupted:
        left = ", ".join(chosen.names[len(outcomes) :])
        print(f"interrupted, not done: {left}; the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    return FAILED if "failed" in states else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # while importing, or a second time
        print("interrupted; the same command goes on from what is in the folder", file=sys.stderr)
        sys.exit(INTERRUPTED)
