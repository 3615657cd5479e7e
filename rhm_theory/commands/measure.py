"""``measure`` runs the forward-backward experiment on a trained model."""

import argparse
from collections.abc import Callable
from pathlib import Path

from rhm_theory.commands import measure_text

KINDS = {"text": measure_text.run}


def add(commands) -> None:
    """Add the command's parser."""
    purpose = "measure how far changes reach in a model that train has written"
    parser = commands.add_parser(
        "measure",
        help=purpose,
        description="Hide a share of each window of held-out text, let the model fill it in, and "
        "measure which tokens change together. The same is measured for controls without a "
        "hierarchy.",
    )
    parser.add_argument("model", help="a file that train text has written")
    parser.add_argument(
        "--levels",
        default="0.1:1.0:0.1",
        metavar="FROM:TO:STEP",
        help="shares of the tokens that are hidden, as FROM:TO:STEP or as numbers with commas "
        "(default 0.1:1.0:0.1)",
    )
    parser.add_argument("--out", metavar="FILE", help="write the raw data to this .npz file")
    parser.add_argument("--html", metavar="FILE", help="write a page with pictures")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--force", action="store_true", help="replace files that are there")
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all random numbers (default 0)"
    )
    parser.add_argument(
        "--folder",
        help="folder that keeps finished parts, so that a stopped run goes on (default: none)",
    )
    measure_text.add_options(parser)
    parser.set_defaults(command=run, name="measure")


def run(options: argparse.Namespace) -> Callable[[], None]:
    """Measure, write, and return what prints the numbers."""
    from rhm_theory.denoisers import read_notes

    kind = read_notes(Path(options.model)).get("kind")
    if kind not in KINDS:
        raise ValueError(f"{options.model} must hold a model of {', '.join(KINDS)}, got {kind!r}")
    return KINDS[kind](options)
