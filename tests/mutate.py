"""Change one coefficient, sign or factor at a time, and see whether a test notices: ``python tests/mutate.py [--only WORD]``.

Works in a temporary copy of the packages and tests. Every old text must occur exactly once, and every selection of tests must pass on
the unchanged copy. A mutant that its quick selection lets live meets the whole test file. Exit status 1 if any survives. Minutes.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
COORDINATE, MASSES = "gda_theory/pair/coordinate.py", "gda_theory/pair/curve.py"
MODEL, POINTS, FOLDS, WINDOWS = (
    f"gda_theory/pair/{name}.py" for name in ("model", "points", "bifurcations", "windows")
)


class Mutant(NamedTuple):
    """In ``place``, ``old`` becomes ``new``; ``quick`` selects (pytest -k) the tests of ``test_file`` that should see it first."""

    place: str
    old: str
    new: str
    quick: str
    test_file: str = "tests/gda_theory/pair/test_pair.py"


def _coordinate(old: str, new: str, quick: str) -> Mutant:
    return Mutant(COORDINATE, old, new, quick, "tests/gda_theory/pair/test_coordinate.py")


MUTANTS = [
    _coordinate(
        "retain_in_coordinate + coordinate.forget_in_coordinate",
        "retain_in_coordinate - coordinate.forget_in_coordinate",
        "lemma_2",
    ),
    _coordinate(
        'forget_size if coordinate.reduction == "mean" else 1',
        'forget_size if coordinate.reduction == "mean" else 2',
        "lemma_2",
    ),
    _coordinate("retain - checks.nonnegative(", "retain + checks.nonnegative(", "lemma_2"),
    _coordinate(
        "_minimum(coordinate, coordinate.shares[0])",
        "_minimum(coordinate, coordinate.shares[1])",
        "lemma_2",
    ),
    _coordinate("-1 + zero, branch=0)", "-1 + zero, branch=-1)", "second_derivative"),
    _coordinate(
        "masses.Gram(zero + 1, zero, zero + 1, zero + 1)",
        "masses.Gram(zero + 1, zero, zero + 2, zero + 1)",
        "brent",
    ),
    _coordinate(
        "(gone / (kept + 2 * gone))", "(gone / (kept + gone))", "order_flips and exponential"
    ),
    _coordinate(
        "upper + coordinate.ridge * gone",
        "upper + 2 * coordinate.ridge * gone",
        "order_flips and exponential",
    ),
    _coordinate(
        "1 + coordinate.ridge / (jnp.e * on)",
        "1 - coordinate.ridge / (jnp.e * on)",
        "sums_overshoot",
    ),
    _coordinate(
        "jnp.log1p(coordinate.alpha) + (",
        "jnp.log1p(coordinate.alpha) - (",
        "distance_bounds and exponential",
    ),
    _coordinate(
        "1 - coordinate.alpha * (kept / coordinate",
        "1 + coordinate.alpha * (kept / coordinate",
        "distance_bounds and exponential",
    ),
    _coordinate("tangents[1] - root * (", "tangents[1] + root * (", "derivatives and exponential"),
    _coordinate(
        "1 + root * loss.decay(root)", "1 - root * loss.decay(root)", "derivatives and exponential"
    ),
    Mutant(
        MASSES,
        "(loss, pull, -side * gram.cross * ascent)",
        "(loss, pull, side * gram.cross * ascent)",
        "reference_values",
    ),
    Mutant(
        MASSES,
        "side * gram.second * masses.ascent,",
        "side * gram.first * masses.ascent,",
        "any_gram and exponential",
    ),
    Mutant(
        MASSES,
        "1 / (1 + gram.first * stiffness)\n",
        "1 / (1 + gram.second * stiffness)\n",
        "steepening",
    ),
    Mutant(MASSES, "x_slope * grip / free)", "2 * x_slope * grip / free)", "steepening"),
    Mutant(
        MASSES, "rest = apart + shared * (", "rest = apart + 2 * shared * (", "reference_values"
    ),
    Mutant(
        MASSES,
        "stiffness) / (1 + gram.first * stiffness))",
        "stiffness) / (1 + 2 * gram.first * stiffness))",
        "reference_values",
    ),
    Mutant(
        MASSES,
        "* first - side * k12 * pull * second)",
        "* first + side * k12 * pull * second)",
        "derivatives_are and exponential",
    ),
    Mutant(
        MODEL,
        "Gram(diagonal, 2 * correlation, diagonal,",
        "Gram(diagonal, correlation, diagonal,",
        "reference_values",
    ),
    Mutant(
        MODEL,
        "/ size, self.forget_in_pair / size",
        "/ size, self.forget_in_pair / self.forget_size",
        "any_gram and exponential",
    ),
    Mutant(POINTS, "c.masses.descent) * (1 - c.bend)", "c.masses.descent) * (1 + c.bend)", "kinds"),
    Mutant(
        POINTS, "+ side * solved.ascent[..., None]", "- side * solved.ascent[..., None]", "kinds"
    ),
    Mutant(
        FOLDS,
        "descent_mass * _third(pair.loss, point.x) * tilt**3",
        "descent_mass * _third(pair.loss, point.x) * tilt**2",
        "slowing",
    ),
    Mutant(FOLDS, "2 * pace, jnp.pi / pace", "pace, jnp.pi / pace", "slowing"),
    Mutant(FOLDS, "2 * pace, jnp.pi / pace", "2 * pace, 2 * jnp.pi / pace", "slowing"),
    Mutant(
        FOLDS,
        "(gram.second + gram.determinant * descent)",
        "(gram.second - gram.determinant * descent)",
        "fold_locus",
    ),
    Mutant(
        WINDOWS,
        "(gram.second * x - gram.determinant * pull)",
        "(gram.second * x + gram.determinant * pull)",
        "explicit_curves",
    ),
    Mutant(
        WINDOWS,
        "gram.first * oracle * lost / gram.cross",
        "gram.first * oracle * kept / gram.cross",
        "reference_values",
    ),
    Mutant(
        WINDOWS,
        "-(gram.cross**2) / gram.second * oracle",
        "gram.cross**2 / gram.second * oracle",
        "reference_values",
    ),
    Mutant(
        WINDOWS,
        "pair.gram.first / pair.gram.cross * (lost",
        "2 * pair.gram.first / pair.gram.cross * (lost",
        "own_numbers",
    ),
    Mutant(
        WINDOWS,
        "pair.gram.second / (kept + forgotten)",
        "pair.gram.second / (kept + 2 * forgotten)",
        "own_numbers",
    ),
    Mutant(WINDOWS, "_shares(pair)[0] - 1)", "_shares(pair)[0] + 1)", "own_numbers"),
    Mutant(
        WINDOWS,
        "gram.second / gram.cross * jnp.maximum(",
        "2 * gram.second / gram.cross * jnp.maximum(",
        "own_numbers",
    ),
    Mutant(
        WINDOWS,
        "root(gram.first + alpha * gram.cross,",
        "root(gram.first + 2 * alpha * gram.cross,",
        "own_numbers",
    ),
    Mutant(
        WINDOWS,
        "gram.cross * retain - gram.second * forget",
        "gram.cross * retain - 2 * gram.second * forget",
        "own_numbers",
    ),
]


def run(copy: Path, test_file: str, select: str | None) -> str | None:
    """The first test that fails in the copy, or None; an error other than a failing test is raised."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "0",
        "-x",
        "-p",
        "no:cacheprovider",
        "--tb=no",
        "-rf",
        test_file,
    ]
    # Most kernels of two mutants are the same: compile them once.
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(copy / ".jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
    }
    environment = os.environ | cache | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        command + (["-k", select] if select else []),
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        return None
    failed = re.search(r"^FAILED \S+?::(\S+)", done.stdout, re.MULTILINE)
    if done.returncode != 1 or failed is None:
        raise RuntimeError(
            f"pytest ended with {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return failed[1]


def killer(copy: Path, mutant: Mutant) -> str | None:
    """The test that kills the mutant, or None."""
    source = copy / mutant.place
    text = source.read_text()
    if text.count(mutant.old) != 1:
        raise ValueError(
            f"{mutant.place}: {mutant.old!r} occurs {text.count(mutant.old)} times, not once"
        )
    source.write_text(text.replace(mutant.old, mutant.new))
    try:
        return run(copy, mutant.test_file, mutant.quick) or run(copy, mutant.test_file, None)
    finally:
        source.write_text(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutants whose place or old text contains this")
    only = parser.parse_args().only
    chosen = [mutant for mutant in MUTANTS if only in mutant.place or only in mutant.old]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        for name in ("gda_theory", "theory_common", "tests"):
            shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        for test_file in sorted({mutant.test_file for mutant in chosen}):
            selection = " or ".join(
                sorted({f"({mutant.quick})" for mutant in chosen if mutant.test_file == test_file})
            )
            broken = run(copy, test_file, selection)
            if broken:
                raise RuntimeError(f"{broken} fails without any mutant")
        print("place | change | killed by", flush=True)
        survivors = 0
        for mutant in chosen:
            test = killer(copy, mutant)
            survivors += test is None
            print(
                f"{mutant.place} | {mutant.old.strip()} -> {mutant.new.strip()} | {test or 'SURVIVES'}",
                flush=True,
            )
    print(f"{len(chosen) - survivors} of {len(chosen)} killed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
