"""``probe`` measures how far changes reach in given samples of any model."""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rhm_theory.experiment import probe, structure
from rhm_theory.experiment.by_level import ByLevel
from rhm_theory.experiment.reading import Reading
from theory_common.printing import tables


def add(commands) -> None:
    """Add the command's parser."""
    measured = commands.add_parser(
        "probe",
        help="measure how far changes reach in samples of any model",
        description="Measure how far changes reach in samples of any model. Say whether that "
        "looks hierarchical or flat, or is undecided. Each start is a sequence. Its samples are "
        "what a model returned after noise was added to the start.",
    )
    measured.add_argument(
        "sequences",
        help="the file of sequences. .npz holds the arrays starts and samples. .npy is an array "
        "of shape starts x (1 + samples) x length. .jsonl has an object with start and samples in "
        "each line. .npz and .jsonl may also hold the noise level of each start (levels in .npz, "
        "level in .jsonl) and the class of each sample (classes). In any other text file a line "
        "has the label of a start, then the symbols of one sequence, separated by commas, "
        "semicolons or tabs. Symbols are integers or strings. The file may be compressed by gzip.",
    )
    measured.add_argument(
        "--pad",
        metavar="TOKEN",
        help="the symbol that fills sequences up to one length; places where a start has this "
        "symbol are left out",
    )
    measured.add_argument(
        "--delimiter", help="the character between the cells of text (default: found from the file)"
    )
    measured.add_argument(
        "--r-max", type=int, help="largest distance r between positions (default: all)"
    )
    measured.add_argument(
        "--out",
        metavar="FILE",
        help="draw C(r), the correlation of changes at distance r, into this PNG or PDF",
    )
    measured.add_argument(
        "--aligned",
        action="store_true",
        help="say that site i has the same place in every start, as in a grammar of fixed length; "
        "then a file without blocks counts as flat",
    )
    measured.add_argument("--json", action="store_true", help="print JSON instead of a table")
    measured.set_defaults(command=run, name="probe")


def run(options: argparse.Namespace) -> Callable[[], None]:
    """Measure, and return what prints the result."""
    sequences = probe.load(options.sequences, pad=options.pad, delimiter=options.delimiter)
    found = probe.probe(sequences, r_max=options.r_max)
    if options.out is not None:
        probe.draw(found, Path(options.out))
    decided = probe.verdict(sequences, aligned=options.aligned)
    alike = probe.within(sequences, r_max=options.r_max)
    levels = probe.by_level(sequences, r_max=options.r_max)
    read = probe.reading(sequences) if decided.verdict == "hierarchical" else None
    if options.json:
        answer = {
            **found._asdict(),
            "structure": decided,
            "reading": read,
            "within_classes": alike,
            "by_level": levels,
        }
        return lambda: print(tables.dumps(answer, indent=2))
    rows: list[tuple] = [
        (name, estimate.value, estimate.error, (estimate.low, estimate.high))
        for name, estimate in (
            ("share of symbols that changed", found.mean_changed),
            ("susceptibility (size of a block that changes together)", found.susceptibility),
            ("distance at which C(r) falls below half", found.half_length),
            ("second-moment length", found.second_moment_length),
        )
    ]
    if np.isnan(found.half_length.value):
        largest = len(found.correlation.value) - 1
        rows[2] = (rows[2][0], f"none up to {largest}", "", "")
    if alike is not None:
        chi = alike.susceptibility
        name = "susceptibility among samples of one class"
        rows.append((name, chi.value, chi.error, (chi.low, chi.high)))
    starts, trajectories, length = sequences.samples.shape
    symbols = f"{length} symbols" if sequences.inside is None else f"up to {length} symbols"
    groups = len(set(sequences.groups.tolist()))
    title = f"{starts} starts x {trajectories} samples of {symbols}; errors over {groups} groups"

    def show():
        tables.print_table(rows, ["quantity", "value", "error", "95 % interval"], title)
        if levels is not None:
            _print_levels(levels)
        print(tables.wrapped(sentence(decided, read)))
        if options.out is not None:
            print(f"C(r) is drawn in {options.out}")

    return show


def _print_levels(found: ByLevel) -> None:
    columns = {"susceptibility": found.susceptibility}
    if found.within_classes is not None:
        columns["among samples of one class"] = found.within_classes
    rows = [
        (float(level), *(f"{c.value[row]:.3g} ± {c.error[row]:.2g}" for c in columns.values()))
        for row, level in enumerate(found.level)
    ]
    title = "by noise level; the verdict takes all levels together"
    tables.print_table(rows, ["noise level", *columns], title)


def sentence(decided: structure.Structure, read: Reading | None = None) -> str:
    """The verdict in words, with its error rate, and what C(r) alone gives."""
    words = f"Verdict: {decided.verdict}. {decided.reason}"
    if decided.verdict == "hierarchical":
        words += (
            f" Each block consists of {decided.branching} smaller ones, and at least "
            f"{decided.levels} levels are seen."
        )
    if read is not None and read.branching is not None:
        plural = "" if read.levels == 1 else "s"
        words += f" C(r) alone gives blocks of {read.branching} and {read.levels} level{plural}."
    if decided.wrong is not None:
        words += (
            f" In a test on synthetic files, {decided.wrong['wrong']} of {decided.wrong['files']} "
            "files that should not get this verdict got it "
            f"({100 * decided.wrong['rate']:.2g} %)."
        )
    return words
