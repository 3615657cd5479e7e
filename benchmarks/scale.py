"""Large tables: reading, the whole diagnosis, its memory, and how its time grows with the rows.

Both sides run in fresh processes. CPU seconds are compared where other work may slow the machine.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import timing

DIMENSION, RIDGE = 50, 1e-2
QUICK, FULL = 100_000, 1_000_000
SIZES = {False: (10_000, 30_000, 100_000), True: (10_000, 30_000, 100_000, 300_000, 1_000_000)}
FITS = 40  # of scikit-learn, which a diagnosis may cost at most
GIBIBYTES = 8
SLOPES = (0.9, 1.1)
ROOT = Path(__file__).parents[1]


def table(rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Features and logistic labels that no plane separates."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(rows, DIMENSION))
    scores = features @ rng.normal(size=DIMENSION) / 3
    return features, (scores + rng.logistic(size=rows) > 0).astype(int)


def write_csv(path: str, rows: int) -> None:
    """The table as a CSV file with the columns ``f0`` to ``f49`` and ``y``."""
    import polars as pl

    features, labels = table(rows)
    frame = pl.DataFrame(features, schema=[f"f{index}" for index in range(DIMENSION)])
    frame.with_columns(y=pl.Series(labels)).write_csv(path)


def problem(rows: int):
    """One row in a hundred is to be forgotten."""
    import gda_theory as gt

    features, labels = table(rows)
    return gt.Problem(features, labels, np.arange(rows) % 100 == 0, ridge=RIDGE)


# What a fresh process does: it prepares, and returns what is to be timed --------------------------


def read_ours(path: str):
    """The file as a Problem, standardised."""
    from gda_theory.problem import tables

    rows = f"0-{QUICK // 100}"
    return lambda: tables.load(path, label="y", forget=rows).problem(ridge=RIDGE)


def read_theirs(path: str):
    """The file as scaled features, and the labels."""
    import pandas as pd
    from sklearn.preprocessing import StandardScaler

    def read():
        frame = pd.read_csv(path)
        return StandardScaler().fit_transform(frame.drop(columns="y")), frame["y"].to_numpy()

    return read


def diagnose_ours(rows: str):
    """All numbers and sentences of the report."""
    import gda_theory as gt

    given = problem(int(rows))
    return lambda: gt.diagnose(given).to_dict()


def diagnose_theirs(rows: str):
    """One fit to the same tolerance as scikit-learn's default."""
    from sklearn.linear_model import LogisticRegression

    features, labels = table(int(rows))
    model = LogisticRegression(
        C=1 / (RIDGE * len(labels)), solver="newton-cholesky", fit_intercept=False
    )
    return lambda: model.fit(features, labels)


def run(name: str, argument: str, turns: int) -> None:
    """In a fresh process: print the seconds of each call, and the peak of the memory, as JSON."""
    from theory_common import entry

    entry.enable_float64()
    call = globals()[name](argument)
    wall, cpu = [], []
    for _ in range(turns):
        start = time.perf_counter(), time.process_time()
        call()
        wall.append(time.perf_counter() - start[0])
        cpu.append(time.process_time() - start[1])
    print(json.dumps({"wall": wall, "cpu": cpu, "gibibytes": timing.peak_memory()}))


def measured(name: str, argument: object, turns: int = 2) -> dict:
    """The median seconds of a call in a fresh process, those of compiling, and the memory's peak.

    The first call compiles, and is not part of the median.
    """
    code = f"from benchmarks import scale\nscale.run({name!r}, {str(argument)!r}, {turns})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{name} ended with {done.returncode}: {done.stderr[-2000:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    cpu = statistics.median(found["cpu"][1:])
    return {
        "wall": statistics.median(found["wall"][1:]),
        "cpu": cpu,
        "compile": max(0.0, found["cpu"][0] - cpu),
        "gibibytes": found["gibibytes"],
    }


def reading_row(rows: int) -> dict:
    """Read a CSV file into a Problem."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/table.csv"
        write_csv(path, rows)
        ours, theirs = measured("read_ours", path, 6), measured("read_theirs", path, 6)
    return {
        "work": f"read a CSV file of {rows:,} x {DIMENSION} into a Problem",
        "against": "pandas.read_csv and StandardScaler",
        "ours_seconds": ours["wall"],
        "theirs_seconds": theirs["wall"],
        "ratio": theirs["wall"] / ours["wall"],
        # Of a smaller table, looking at the first lines takes a part that would not grow.
        **({"target": 1} if rows == FULL else {}),
        "limit": f"CPU seconds: {ours['cpu']:.1f} against {theirs['cpu']:.1f}. Peak memory:"
        f" {ours['gibibytes']:.1f} GiB against {theirs['gibibytes']:.1f} GiB",
    }


def diagnosis_row(ours: dict, theirs: dict, rows: int) -> dict:
    """Diagnose a table, everything but the report's pictures, in CPU seconds."""
    fits = ours["cpu"] / theirs["cpu"]
    return {
        "work": f"diagnose {rows:,} x {DIMENSION}, CPU seconds",
        "against": "one LogisticRegression(newton-cholesky) fit",
        "ours_seconds": ours["cpu"],
        "theirs_seconds": theirs["cpu"],
        "ratio": 1 / fits,
        "target": f"{FITS} fits and {GIBIBYTES} GiB at most",
        "met": fits <= FITS and ours["gibibytes"] <= GIBIBYTES,
        "compile_seconds": ours["compile"],
        "limit": f"It costs {fits:.1f} fits. Peak memory is {ours['gibibytes']:.1f} GiB",
    }


def growing_part(seconds: dict[int, float]) -> tuple[float, float, float]:
    """The numbers a, b >= 0 and c for which ``a + b n^c`` is nearest to the times.

    Errors are relative. For each c, a and b follow from non-negative least squares. With two sizes
    a is 0.
    """
    from scipy.optimize import minimize_scalar, nnls

    sizes = np.array(sorted(seconds), float)
    times = np.array([seconds[size] for size in sorted(seconds)])

    def fitted(power: float) -> tuple[np.ndarray, float]:
        fixed = np.full(len(sizes), float(len(sizes) > 2))
        grows = (sizes / sizes[-1]) ** power
        return nnls(np.column_stack([fixed, grows]) / times[:, None], np.ones(len(sizes)))

    # Below 0.3 the part that grows could stand for the fixed cost.
    power = float(
        minimize_scalar(
            lambda c: fitted(c)[1], bounds=(0.3, 3.0), method="bounded", options={"xatol": 1e-6}
        ).x
    )
    (fixed, last), _ = fitted(power)
    return float(fixed), float(last / sizes[-1] ** power), power


def growth_row(seconds: dict[int, float]) -> dict:
    """How the time of a diagnosis grows: ``a + b n^c``, and the slope of the whole."""
    sizes = sorted(seconds)
    whole = np.polyfit(np.log(sizes), np.log([seconds[size] for size in sizes]), 1)[0]
    fixed, _, slope = growing_part(seconds)
    listed = ", ".join(f"{size:,} rows in {seconds[size]:.1f} s" for size in sizes)
    return {
        "work": f"time of a diagnosis by its rows, d={DIMENSION}: the part that grows",
        "against": "linear growth",
        "target": f"slope from {SLOPES[0]} to {SLOPES[1]}",
        "met": SLOPES[0] <= slope <= SLOPES[1],
        "growth": f"The slope is {slope:.2f} for the part that grows, beside {fixed:.1f} s that do"
        f" not; {whole:.2f} for the whole: {listed} of CPU time",
    }


def rows(full: bool = False) -> Iterator[dict]:
    """All rows. ``full`` takes the large tables, which need minutes and some GiB."""
    size = FULL if full else QUICK
    yield reading_row(size)
    found = {count: measured("diagnose_ours", count) for count in SIZES[full]}
    yield diagnosis_row(found[size], measured("diagnose_theirs", size, 6), size)
    yield growth_row({count: one["cpu"] for count, one in found.items()})
