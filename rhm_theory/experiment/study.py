"""The study behind the verdict of ``probe``: thresholds from training files, errors on others.

``python -m rhm_theory.experiment.study --files 60 --out structure.json`` makes the files of
:mod:`rhm_theory.experiment.zoo`, which takes about 5 minutes of one core, and writes the
thresholds and the confusion matrix.

Protocol. Each family has ``--files`` files in each split, and ``tree`` has twice as many. Each file
is cut to the sizes of :data:`SIZES`. A verdict is *wrong* if it is ``hierarchical`` on a file that
is none, or whose hierarchy is hidden, or ``flat`` on a file that is hierarchical or hidden. Each
threshold is the least number, and at least :data:`LEAST`, for which wrong verdicts of its kind are
at most 1 % of the training files that can give it.

Held-out files have other seeds and other parameters. Their numbers begin at :data:`FIRST`, since
some files with lower numbers were seen while the statistics were made. The statistics, the
thresholds and this protocol were fixed before the files from :data:`FIRST` on were made. Their
numbers are reported as they came.
"""

import argparse
import collections
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from rhm_theory.experiment import reading, structure, zoo
from rhm_theory.experiment.reading import Reading
from rhm_theory.experiment.structure import Summary
from theory_common import entry
from theory_common.printing import files as whole_files
from theory_common.printing import tables, waiting

SIZES = ((200, 16), (50, 16), (50, 8), (16, 16))
RATE = 0.01
LEAST = 1.96
FIRST = {"training": 0, "held out": 1000}  # the numbers of the files of each split begin here
# Families whose site i has the same place in every start.
ALIGNED = ("tree", "words", "chain", "hidden chain", "mixture", "chains", "field")


class Case(NamedTuple):
    """One file at one size. ``found`` is None where no site varies."""

    family: str
    split: str
    size: tuple[int, int]
    settings: dict
    found: Summary | None
    read: Reading | None


def cases(count: int, families: Sequence[str] = tuple(zoo.FAMILIES)) -> Iterable[Case]:
    """All files of both splits, at all sizes."""
    largest = SIZES[0]
    for split, family in itertools.product(zoo.TREES, families):
        first = FIRST[split]
        for number in range(first, first + count * (2 if family == "tree" else 1)):
            made = zoo.file(family, split, number, starts=largest[0], trajectories=largest[1])
            for starts, trajectories in SIZES:
                changed = made.changed[:starts, :trajectories]
                found = structure.summary(changed, np.arange(starts))
                read = None
                if family == "tree" and found is not None:
                    read = reading.reading(reading.correlation_rows(changed))
                yield Case(family, split, (starts, trajectories), made.settings, found, read)


def threshold(scores: Sequence[float]) -> float:
    """The least number >= :data:`LEAST` that at most 1 % of the ``scores`` reach."""
    ordered = np.sort(scores)[::-1]
    allowed = int(RATE * len(ordered))
    return max(LEAST, float(np.nextafter(ordered[allowed], np.inf)) if len(ordered) else LEAST)


def thresholds(training: Sequence[Case]) -> dict[str, float]:
    """From the training files; those without any variation score 0."""

    def scores(name: str, families: Iterable[str]) -> list[float]:
        chosen = [case for case in training if case.family in set(families)]
        return [getattr(case.found.scores, name) if case.found else 0.0 for case in chosen]

    truth = {name: family.truth for name, family in zoo.FAMILIES.items()}
    return {
        "hierarchical": threshold(
            scores("hierarchical", [f for f in truth if truth[f] != "hierarchical"])
        ),
        "flat": threshold(scores("flat", [f for f in truth if truth[f] != "flat"])),
        "no_blocks": threshold(
            scores("no_blocks", [f for f in ALIGNED if truth[f] == "hierarchical"])
        ),
    }


def confusion(held_out: Sequence[Case], limits: dict[str, float], *, aligned: bool) -> dict:
    """How often each verdict is given, by family and size."""
    found: dict = collections.defaultdict(lambda: dict.fromkeys(structure.VERDICTS, 0))
    for case in held_out:
        if aligned and case.family not in ALIGNED:
            continue
        verdict = "undecided"
        if case.found is not None:
            verdict = structure.verdict_of(case.found.scores, limits, aligned=aligned)
        found[f"{case.family}, {case.size[0]} x {case.size[1]}"][verdict] += 1
    return dict(found)


def wrong_rates(table: dict) -> dict:
    """Of each verdict, how many held-out files that could get it wrongly did, and how many."""
    found = {}
    for verdict in ("hierarchical", "flat"):
        rows = [
            counts
            for name, counts in table.items()
            if zoo.FAMILIES[name.partition(",")[0]].truth != verdict
        ]
        files = sum(sum(counts.values()) for counts in rows)
        wrong = sum(counts[verdict] for counts in rows)
        found[verdict] = {"wrong": wrong, "files": files, "rate": wrong / max(files, 1)}
    return found


def readings(held_out: Sequence[Case], limits: dict[str, float]) -> dict:
    """Branching and levels of trees that were found hierarchical: how often they are right."""
    found: dict = collections.defaultdict(
        lambda: {
            "files": 0,
            "branching": 0,
            "levels": 0,
            "at_most": 0,
            "curve_branching": 0,
            "curve_levels": 0,
            "curve_at_most": 0,
        }
    )
    for case in held_out:
        if case.family != "tree" or case.found is None or case.read is None:
            continue
        if structure.verdict_of(case.found.scores, limits) != "hierarchical":
            continue
        row = found[f"{case.size[0]} x {case.size[1]}"]
        levels = sum(score >= limits["hierarchical"] for score in case.found.level_scores)
        depth = case.settings["depth"]
        right = case.read.branching == case.settings["branching"]
        row["files"] += 1
        row["branching"] += case.found.blocks.branching == case.settings["branching"]
        row["levels"] += levels == depth
        row["at_most"] += levels <= depth
        row["curve_branching"] += right
        row["curve_levels"] += right and case.read.levels == depth
        row["curve_at_most"] += right and case.read.levels <= depth
    return dict(found)


def study(count: int) -> dict:
    """Thresholds, error rates, confusion matrices and readings, as the file holds them."""
    total = len(zoo.TREES) * (len(zoo.FAMILIES) + 1) * count * len(SIZES)
    made = []
    with waiting.counted("making and judging files", total) as advance:
        for case in cases(count):
            made.append(case)
            advance()
    return judged(made, count)


def judged(made: Sequence[Case], count: int) -> dict:
    """The study of these cases; ``count`` is the number of files of a family and split."""
    training = [case for case in made if case.split == "training"]
    held_out = [case for case in made if case.split == "held out"]
    limits = thresholds(training)
    plain = confusion(held_out, limits, aligned=False)
    aligned = confusion(held_out, limits, aligned=True)
    return {
        "files": count,
        "rate": RATE,
        "thresholds": limits,
        "wrong": wrong_rates(plain),
        "wrong_aligned": wrong_rates(aligned),
        "confusion": plain,
        "confusion_aligned": aligned,
        "training_confusion": confusion(training, limits, aligned=False),
        "readings": readings(held_out, limits),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Fix and measure the verdict of probe.")
    parser.add_argument("--files", type=int, default=60, help="files of each family and split")
    parser.add_argument("--out", type=Path, required=True, help="the JSON to write")
    options = parser.parse_args()
    entry.enable_float64()
    entry.compile_quickly(optimise=False)
    text = tables.dumps(study(options.files), indent=1) + "\n"
    whole_files.write_whole(options.out, text, force=True)


if __name__ == "__main__":
    main()
