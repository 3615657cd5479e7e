"""Options that all kinds of ``train`` share, and the checks before a long run."""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from theory_common.printing import files


def add(
    parser: argparse.ArgumentParser,
    *,
    width: int,
    layers: int,
    heads: int,
    learning_rate: float,
    batch: int = 16,
) -> None:
    """Where the model goes, how long it is trained, and how large it is."""
    parser.add_argument("--out", required=True, metavar="FILE", help="where the model is written")
    parser.add_argument("--force", action="store_true", help="replace a file that exists already")
    how_long = parser.add_mutually_exclusive_group()
    how_long.add_argument("--minutes", type=float, help="minutes of training (default 20)")
    how_long.add_argument(
        "--steps", type=int, help="gradient steps of training, in place of minutes"
    )
    parser.add_argument(
        "--batch", type=int, default=batch, help=f"sequences in a step (default {batch})"
    )
    parser.add_argument(
        "--learning-rate",
        type=float,
        default=learning_rate,
        help=f"learning rate of the matrices, by Muon (default {learning_rate}); that of all "
        "other weights, by Adam, is 0.15 times as large",
    )
    parser.add_argument(
        "--width", type=int, default=width, help=f"numbers for each token (default {width})"
    )
    parser.add_argument(
        "--layers", type=int, default=layers, help=f"layers of the transformer (default {layers})"
    )
    parser.add_argument(
        "--heads", type=int, default=heads, help=f"attention heads of a layer (default {heads})"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of all random numbers (default 0)"
    )
    parser.add_argument(
        "--folder",
        help="folder that keeps a checkpoint, so that a stopped run goes on (default: the name of "
        "--out with .training added)",
    )
    parser.add_argument(
        "--keep",
        type=float,
        nargs="*",
        default=[],
        metavar="SHARE",
        help="shares of the run (0 to 1) at which the model is also kept in the folder",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")


def require_out(options: argparse.Namespace) -> None:
    """``OSError`` before anything is computed, where the model could not be written."""
    files.require_free(options.out, options.force)


def run_of(options: argparse.Namespace) -> Mapping[str, Any]:
    """The arguments of :func:`rhm_theory.denoisers.train` that the options fix."""
    minutes = 20.0 if options.minutes is None and options.steps is None else options.minutes
    return {
        "batch": options.batch,
        "steps": options.steps,
        "minutes": minutes,
        "learning_rate": options.learning_rate,
        "keep": options.keep,
        "folder": options.folder or Path(f"{options.out}.training"),
        "progress": True,
    }


def size_of(options: argparse.Namespace) -> Mapping[str, int]:
    """The arguments of :meth:`rhm_theory.denoisers.MaskedDiffusion.create` that options fix."""
    return {"width": options.width, "layers": options.layers, "heads": options.heads}
