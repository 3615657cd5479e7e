"""``theory`` prints the mean-field results for a random grammar with given numbers."""

import argparse
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np

from rhm_theory.theory import mean_field
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


def add(commands) -> None:
    """Add the command's parser."""
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
    theory.set_defaults(command=run, name="theory")


def run(options: argparse.Namespace) -> Callable[[], None]:
    """Compute, and return what prints the result."""
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
