"""The commands ``probe`` (how far changes reach in given samples) and ``theory`` (what mean field says of a grammar's numbers)."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from rhm_theory.experiment import probe
from rhm_theory.theory import mean_field
from theory_common import entry
from theory_common.printing import tables

DEPTHS = (5, 7, 9, 11)
# Which claim of the ledger stands behind a number of the theory command.
CLAIMS = {
    "noise": "rhm-critical-noise",
    "belief": "rhm-fixed-points",
    "slope": "rhm-upward-slope",
    "exponent": "rhm-exponent",
    "correlation_decay": "rhm-susceptibility-exponents",
    "kesten_stigum": "rhm-path-damping",
    "diverges": "rhm-susceptibility-exponents",
    "susceptibility_growth": "rhm-susceptibility-exponents",
    "susceptibility_exponent": "rhm-susceptibility-exponents",
    "peaks": "rhm-correlations",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code: 0, 2 after one line on standard error about wrong input, 1 if nobody reads."""
    entry.enable_float64()
    entry.compile_quickly()
    entry.keep_compiled_code()
    options = _parser().parse_args(arguments)
    try:
        print_answer = options.command(options)
    except (ValueError, TypeError, OSError) as error:
        print(f"rhm_theory {options.name}: {error}", file=sys.stderr)
        return 2
    return entry.shown(print_answer)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rhm_theory", description="How far does a change reach in hierarchical data?"
    )
    commands = parser.add_subparsers(required=True, metavar="probe|theory")
    measured = commands.add_parser(
        "probe", help="measure starts and their forward-backward samples, from any model"
    )
    measured.add_argument(
        "sequences",
        help=".npz (starts, samples), .npy (starts x (1 + samples) x length) or CSV (label, symbols)",
    )
    measured.add_argument("--r-max", type=int, help="largest distance that counts (default: all)")
    measured.add_argument("--out", metavar="FILE", help="draw C(r) into this PNG or PDF")
    measured.add_argument("--json", action="store_true", help="print JSON instead of a table")
    measured.set_defaults(command=_probe, name="probe")
    theory = commands.add_parser(
        "theory", help="critical noise, exponents and finite-depth peaks in mean field"
    )
    theory.add_argument("--vocabulary", type=float, required=True)
    theory.add_argument("--rules-per-symbol", type=float, required=True)
    theory.add_argument("--branching", type=int, required=True)
    theory.add_argument("--json", action="store_true", help="print JSON instead of a table")
    theory.set_defaults(command=_theory, name="theory")
    return parser


def _probe(options) -> Callable[[], None]:
    sequences = probe.load(options.sequences)
    found = probe.probe(sequences, r_max=options.r_max)
    if options.out is not None:
        probe.draw(found, Path(options.out))
    if options.json:
        return lambda: print(tables.dumps(found, indent=2))
    rows = [
        (name, estimate.value, estimate.error, (estimate.low, estimate.high))
        for name, estimate in (
            ("share of leaves that changed", found.mean_changed),
            ("susceptibility (size of a block that changes together)", found.susceptibility),
            ("distance at which C(r) falls below half", found.half_length),
            ("second-moment length", found.second_moment_length),
        )
    ]
    starts, trajectories, length = sequences.samples.shape
    title = f"{starts} starts x {trajectories} samples of {length} leaves; errors over {len(set(sequences.groups.tolist()))} groups"

    def show():
        tables.print_table(rows, ["quantity", "value", "error", "95 % interval"], title)
        if options.out is not None:
            print(f"C(r) is drawn in {options.out}")

    return show


def _theory(options) -> Callable[[], None]:
    numbers = {
        "vocabulary": options.vocabulary,
        "rules_per_symbol": options.rules_per_symbol,
        "branching": options.branching,
    }
    found = mean_field.criticality(**numbers)
    peaks = {depth: mean_field.susceptibility_peak(**numbers, depth=depth) for depth in DEPTHS}
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
            "yes" if exists else "none: the root is lost or recovered at every noise",
            "rhm-transition",
        ),
        ("critical noise", float(found.noise), CLAIMS["noise"]),
        ("belief at the transition p*", float(found.belief), CLAIMS["belief"]),
        ("slope F'(p*)", float(found.slope), CLAIMS["slope"]),
        ("exponent of the correlation length nu", float(found.exponent), CLAIMS["exponent"]),
        (
            "C(r) falls at the transition with the power",
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
            f"susceptibility's peak at depth {depth}: height, noise",
            (peak.height, peak.noise),
            CLAIMS["peaks"],
        )
        for depth, peak in peaks.items()
    ]
    return lambda: tables.print_table(rows, ["quantity", "mean field", "claim"], "", digits=6)
