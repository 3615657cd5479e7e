"""The commands ``probe`` and ``theory``.

``probe`` measures how far changes reach in given samples. ``theory`` prints the mean-field results
for a random grammar with given numbers.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import jax
import numpy as np

from rhm_theory.experiment import probe
from rhm_theory.theory import mean_field
from theory_common import entry
from theory_common.printing import tables

Result = TypeVar("Result")
DEPTHS = (5, 7, 9, 11)
# Title of the table: the symbols in the names of its rows.
SYMBOLS = (
    "p is the probability of a node's true symbol given the leaves below it. One level up it is "
    "F(p). C(r) is the correlation of changes at distance r. The susceptibility is about the "
    "number of leaves that change together."
)
# The claim of the ledger that proves a number of the theory command.
CLAIMS = {
    "noise": "rhm-critical-noise",
    "belief": "rhm-fixed-points",
    "slope": "rhm-upward-slope",
    "exponent": "rhm-exponent",
    "correlation_decay": "rhm-susceptibility-exponents",
    "kesten_stigum": "rhm-path-damping",
    "diverges": "rhm-susceptibility-exponents",
    "susceptibility_growth": "rhm-susceptibility-exponents",
    "susceptibility_exponent": "rhm-susceptibility-off-critical",
    "peaks": "rhm-correlations",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    It is 0 after success, 1 if nobody reads the output, and 130 after Ctrl-C. Wrong input prints
    one line on standard error and gives 2.
    """
    options = _parser().parse_args(arguments)

    def command() -> int:
        entry.enable_float64()
        entry.compile_quickly(optimise=options.name != "theory")
        entry.keep_compiled_code()
        options.command(options)()
        return 0

    return entry.run_command(f"rhm_theory {options.name}", command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rhm_theory", description="How far does a change reach in hierarchical data?"
    )
    entry.add_version(parser)
    commands = parser.add_subparsers(required=True, metavar="probe|theory")
    measured = commands.add_parser(
        "probe",
        help="measure in samples of any model how far changes reach",
        description="Measure how far changes reach. Each start is a sequence. Its samples are what "
        "a model returned after noise was added to the start.",
    )
    measured.add_argument(
        "sequences",
        help="a file: .npz with arrays starts and samples, .npy of shape starts x (1 + samples) x "
        "length, .jsonl with start and samples in each line, or text with the label of a start and "
        "the symbols of a sequence in each line, delimited by commas, semicolons or tabs; symbols "
        "are integers or strings, and the file may be compressed by gzip",
    )
    measured.add_argument(
        "--pad",
        metavar="TOKEN",
        help="the symbol that fills sequences up to one length: where a start has it, nothing "
        "counts",
    )
    measured.add_argument(
        "--delimiter", help="the character between the cells of text (default: it is found)"
    )
    measured.add_argument(
        "--r-max", type=int, help="largest distance r between positions (default: all)"
    )
    measured.add_argument(
        "--out",
        metavar="FILE",
        help="draw C(r), the correlation of changes at distance r, into this PNG or PDF",
    )
    measured.add_argument("--json", action="store_true", help="print JSON instead of a table")
    measured.set_defaults(command=_probe, name="probe")
    purpose = "print the critical noise, exponents and peaks of random grammars in mean field"
    theory = commands.add_parser("theory", help=purpose, description=purpose)
    theory.add_argument(
        "--vocabulary", type=float, required=True, help="number of symbols of each level, >= 2"
    )
    theory.add_argument(
        "--rules-per-symbol",
        type=float,
        required=True,
        help="number of tuples that a symbol may become, at most vocabulary^(branching - 1)",
    )
    theory.add_argument(
        "--branching", type=int, required=True, help="number of symbols in a tuple, >= 2"
    )
    theory.add_argument("--json", action="store_true", help="print JSON instead of a table")
    theory.set_defaults(command=_theory, name="theory")
    return parser


def _probe(options: argparse.Namespace) -> Callable[[], None]:
    sequences = probe.load(options.sequences, pad=options.pad, delimiter=options.delimiter)
    found = probe.probe(sequences, r_max=options.r_max)
    if options.out is not None:
        probe.draw(found, Path(options.out))
    if options.json:
        return lambda: print(tables.dumps(found, indent=2))
    rows: list[tuple] = [
        (name, estimate.value, estimate.error, (estimate.low, estimate.high))
        for name, estimate in (
            ("share of leaves that changed", found.mean_changed),
            ("susceptibility (size of a block that changes together)", found.susceptibility),
            ("distance at which C(r) falls below half", found.half_length),
            ("second-moment length", found.second_moment_length),
        )
    ]
    if np.isnan(found.half_length.value):
        largest = len(found.correlation.value) - 1
        rows[2] = (rows[2][0], f"none up to {largest}", "", "")
    starts, trajectories, length = sequences.samples.shape
    leaves = f"{length} leaves" if sequences.inside is None else f"up to {length} leaves"
    groups = len(set(sequences.groups.tolist()))
    title = f"{starts} starts x {trajectories} samples of {leaves}; errors over {groups} groups"

    def show():
        tables.print_table(rows, ["quantity", "value", "error", "95 % interval"], title)
        if options.out is not None:
            print(f"C(r) is drawn in {options.out}")

    return show


def _theory(options: argparse.Namespace) -> Callable[[], None]:
    numbers = {
        "vocabulary": options.vocabulary,
        "rules_per_symbol": options.rules_per_symbol,
        "branching": options.branching,
    }
    found = _on_host(mean_field.criticality(**numbers))
    # All depths at once: they share one compiled function.
    at_depths = _on_host(mean_field.susceptibility_peak(**numbers, depth=np.array(DEPTHS)))
    peaks = {
        depth: mean_field.Peak(noise=noise, height=height)
        for depth, noise, height in zip(DEPTHS, at_depths.noise, at_depths.height, strict=True)
    }
    if options.json:
        answer = {
            **numbers,
            **found._asdict(),
            "peaks": {str(depth): peak._asdict() for depth, peak in peaks.items()},
            "claims": CLAIMS,
        }
        return lambda: print(tables.dumps(answer, indent=2))
    exists = found.noise == found.noise
    rows: list[tuple] = [
        (
            "transition",
            "yes"
            if exists
            else "none: the root is lost at every noise level, or kept at every one",
            "rhm-transition",
        ),
        ("critical noise", float(found.noise), CLAIMS["noise"]),
        ("fixed point p* of F", float(found.belief), CLAIMS["belief"]),
        ("slope F'(p*)", float(found.slope), CLAIMS["slope"]),
        ("exponent of the correlation length nu", float(found.exponent), CLAIMS["exponent"]),
        (
            "power a in C(r) ~ r^-a at the transition",
            float(found.correlation_decay),
            CLAIMS["correlation_decay"],
        ),
        (
            "F'(p*)^2 / branching (Kesten-Stigum)",
            float(found.kesten_stigum),
            CLAIMS["kesten_stigum"],
        ),
        ("susceptibility diverges with the depth", bool(found.diverges), CLAIMS["diverges"]),
    ]
    rows += [
        (
            f"peak of the susceptibility at depth {depth}: (height, noise)",
            (float(peak.height), float(peak.noise)),
            CLAIMS["peaks"],
        )
        for depth, peak in peaks.items()
    ]
    return lambda: tables.print_table(rows, ["quantity", "mean field", "claim"], SYMBOLS, digits=6)


def _on_host(result: Result) -> Result:
    """The result with NumPy arrays: what is done with them compiles nothing."""
    return jax.tree.map(np.asarray, result)
