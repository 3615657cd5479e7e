"""Change one coefficient, sign or factor of the code at a time and see whether a test notices.

Run it with ``python tests/mutate.py [--only WORD] [--workers N]``; it takes minutes. Each worker
changes a temporary copy of the packages and tests. The old text must occur exactly once, and the
chosen tests must pass on the unchanged copy. A mutant first meets its quick selection of tests; if
it survives that, it meets the whole test file. The exit status is 1 if a mutant survives both.
"""

import argparse
import concurrent.futures
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
COORDINATE, CURVE = "gda_theory/pair/coordinate.py", "gda_theory/pair/curve.py"
MODEL, POINTS, FOLDS, WINDOWS = (
    f"gda_theory/pair/{name}.py" for name in ("model", "points", "bifurcations", "windows")
)


class Mutant(NamedTuple):
    """In the file ``place`` the text ``old`` becomes ``new``.

    ``quick`` selects, as ``pytest -k`` does, the tests of ``test_file`` that should notice first.
    """

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
        "_minimum(coordinate, coordinate.ascent_masses[0])",
        "_minimum(coordinate, coordinate.ascent_masses[1])",
        "lemma_2",
    ),
    _coordinate("-1 + zero, branch=0)", "-1 + zero, branch=-1)", "second_derivative"),
    _coordinate(
        "curve.Gram(zero + 1, zero, zero + 1, zero + 1)",
        "curve.Gram(zero + 1, zero, zero + 2, zero + 1)",
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
    _coordinate("moved - root * (", "moved + root * (", "derivatives and exponential"),
    _coordinate(
        "1 + root * loss.decay(root)", "1 - root * loss.decay(root)", "derivatives and exponential"
    ),
    Mutant(
        CURVE,
        "(loss, log_mass, -side * gram.cross * forget_dual)",
        "(loss, log_mass, side * gram.cross * forget_dual)",
        "reference_values",
    ),
    Mutant(
        CURVE,
        "side * gram.second * duals.forget_dual\n",
        "side * gram.first * duals.forget_dual\n",
        "any_gram and exponential",
    ),
    Mutant(
        CURVE,
        "1 / (1 + gram.first * stiffness)\n",
        "1 / (1 + gram.second * stiffness)\n",
        "steepening",
    ),
    Mutant(
        CURVE, "x_slope * stiffness_change / ", "2 * x_slope * stiffness_change / ", "steepening"
    ),
    Mutant(CURVE, "rest = apart + shared * (", "rest = apart + 2 * shared * (", "reference_values"),
    Mutant(
        CURVE,
        "stiffness) / (1 + gram.first * stiffness))",
        "stiffness) / (1 + 2 * gram.first * stiffness))",
        "reference_values",
    ),
    Mutant(
        CURVE,
        "retain_change - side * k12 * retain_stiffness * second",
        "retain_change + side * k12 * retain_stiffness * second",
        "derivatives_are and exponential",
    ),
    Mutant(
        MODEL,
        "cross=2 * correlation,",
        "cross=correlation,",
        "reference_values",
    ),
    Mutant(
        MODEL,
        "/ size, self.forget_in_pair / size",
        "/ size, self.forget_in_pair / self.forget_size",
        "any_gram and exponential",
    ),
    Mutant(
        POINTS, "(1 + stiffness) * (1 - point.bend)", "(1 + stiffness) * (1 + point.bend)", "kinds"
    ),
    Mutant(POINTS, "weights=retained + forgotten", "weights=retained - forgotten", "kinds"),
    Mutant(
        FOLDS,
        "retain_dual * _third(loss, point.x) * tilt**3",
        "retain_dual * _third(loss, point.x) * tilt**2",
        "slowing",
    ),
    Mutant(FOLDS, "slowest_rate=2 * pace", "slowest_rate=pace", "slowing"),
    Mutant(FOLDS, "escape_time=jnp.pi / pace", "escape_time=2 * jnp.pi / pace", "slowing"),
    Mutant(
        FOLDS,
        "(gram.second + gram.determinant * retain_dual)",
        "(gram.second - gram.determinant * retain_dual)",
        "fold_locus",
    ),
    Mutant(
        WINDOWS,
        "(gram.second * x - gram.determinant * retain_dual)",
        "(gram.second * x + gram.determinant * retain_dual)",
        "explicit_curves",
    ),
    Mutant(
        WINDOWS,
        "gram.first * oracle * shares.lost / gram.cross",
        "gram.first * oracle * shares.kept / gram.cross",
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
        "gram.first / gram.cross * (lost",
        "2 * gram.first / gram.cross * (lost",
        "own_numbers",
    ),
    Mutant(
        WINDOWS,
        "gram.second / (kept + forgotten)",
        "gram.second / (kept + 2 * forgotten)",
        "own_numbers",
    ),
    Mutant(WINDOWS, "_shares(pair).kept - 1)", "_shares(pair).kept + 1)", "own_numbers"),
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
        "gram.cross * retain_mass - gram.second * forget_mass",
        "gram.cross * retain_mass - 2 * gram.second * forget_mass",
        "own_numbers",
    ),
]


def run(copy: Path, test_file: str, select: str | None) -> str | None:
    """Run the tests in the copy. Returns the first that fails, or None if all pass.

    Raises: ``RuntimeError`` if pytest ends in any other way, for instance at a syntax error.
    """
    options = ["-n", "0", "-x", "-p", "no:cacheprovider", "--tb=no", "-rf"]
    # Two mutants share most of their compiled functions.
    cache = {
        "JAX_COMPILATION_CACHE_DIR": str(copy.parent / "compiled"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    environment = os.environ | cache | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, test_file] + (["-k", select] if select else []),
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
    source.write_text(text.replace(mutant.old, mutant.new))
    try:
        return run(copy, mutant.test_file, mutant.quick) or run(copy, mutant.test_file, None)
    finally:
        source.write_text(text)


def copied(folder: Path) -> Path:
    """A copy of the packages and tests in a new folder."""
    for name in ("gda_theory", "theory_common", "tests"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


def check_texts(mutants: list[Mutant]) -> None:
    """``ValueError`` unless each old text occurs once in its file."""
    for mutant in mutants:
        count = (ROOT / mutant.place).read_text().count(mutant.old)
        if count != 1:
            raise ValueError(f"{mutant.place}: {mutant.old!r} occurs {count} times, not once")


def check_unchanged(copy: Path, mutants: list[Mutant]) -> None:
    """``RuntimeError`` unless the quick selections pass on the unchanged copy."""
    for test_file in sorted({mutant.test_file for mutant in mutants}):
        quick = sorted({f"({m.quick})" for m in mutants if m.test_file == test_file})
        broken = run(copy, test_file, " or ".join(quick))
        if broken:
            raise RuntimeError(f"{broken} fails without any mutant")


def kill_all(mutants: list[Mutant], workers: int) -> int:
    """Print one line for each mutant and return how many survive."""
    with tempfile.TemporaryDirectory() as folder:
        copies: queue.Queue[Path] = queue.Queue()
        for number in range(workers):
            copies.put(copied(Path(folder) / str(number)))

        def judge(mutant: Mutant) -> str | None:
            copy = copies.get()
            try:
                return killer(copy, mutant)
            finally:
                copies.put(copy)

        check_unchanged(Path(folder) / "0", mutants)
        print("place | change | killed by", flush=True)
        survivors = 0
        with concurrent.futures.ThreadPoolExecutor(workers) as pool:
            for mutant, test in zip(mutants, pool.map(judge, mutants), strict=True):
                survivors += test is None
                change = f"{mutant.old.strip()} -> {mutant.new.strip()}"
                print(f"{mutant.place} | {change} | {test or 'SURVIVES'}", flush=True)
    return survivors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="mutants whose file or old text contains this")
    parser.add_argument("--workers", type=int, default=2, help="mutants at a time (default 2)")
    options = parser.parse_args()
    mutants = [m for m in MUTANTS if options.only in m.place or options.only in m.old]
    check_texts(mutants)
    survivors = kill_all(mutants, options.workers)
    print(f"{len(mutants) - survivors} of {len(mutants)} killed")
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main())
